// The disk alone: a loop of writev and fdatasync, 256 KiB each, as no store can be faster with one writer.
import { closeSync, fdatasyncSync, openSync, rmSync, writevSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'

const PARTS = 64
const PART_BYTES = 4096

/** Bytes a second, in a new file of `directory`; nothing else runs meanwhile in this process. */
export function bareDisk(directory: string, seconds: number): number {
  const path = join(directory, 'bare')
  const file = openSync(path, 'w')
  const parts = Array.from({ length: PARTS }, () => randomBytes(PART_BYTES))
  const startMs = performance.now()
  const endMs = startMs + seconds * 1000
  let bytes = 0
  while (performance.now() < endMs) {
    bytes += writevSync(file, parts)
    fdatasyncSync(file)
  }
  const tookMs = performance.now() - startMs
  closeSync(file)
  rmSync(path)
  return (bytes * 1000) / tookMs
}
