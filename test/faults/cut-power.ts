// What a power cut leaves of a directory, by what disk-shim.c wrote down: of each file what was synced, of
// each directory the names it had when it was synced last. Call it when the process is dead.
import {
  lstatSync,
  openSync,
  closeSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import type { DiskEvent } from './disk-shim.ts'

export interface Cut {
  /** Taken away or made zeros. */
  readonly bytes: number
  /** Files and directories that go with their names. */
  readonly names: number
}

export interface CutOptions {
  /** Bytes that stay of what was written and not synced, the last half of them zeros: a torn write. */
  readonly tornBytes?: number
}

interface Durable {
  /** Inode of a file, and how much of it is synced. */
  readonly bytes: ReadonlyMap<string, number>
  /** Inodes whose name is in no synced directory. */
  readonly nameless: ReadonlySet<string>
}

/** LevelDB's lock, and its log in words: neither is data. */
const NOT_DATA = new Set(['LOCK', 'LOG', 'LOG.old'])

export function cutPower(
  directory: string,
  events: readonly DiskEvent[],
  { tornBytes = 0 }: CutOptions = {},
): Cut {
  const { bytes: synced, nameless } = durableOf(events)
  if (synced.size === 0) throw new Error('the disk shim saw no sync: it is not in the process')
  const cut = { bytes: 0, names: 0 }
  const visit = (path: string): void => {
    for (const name of readdirSync(path)) {
      const file = join(path, name)
      const stat = lstatSync(file)
      const inode = String(stat.ino)
      if (nameless.has(inode)) {
        rmSync(file, { recursive: true })
        cut.names += 1
        cut.bytes += stat.isDirectory() ? 0 : stat.size
      } else if (stat.isDirectory()) {
        visit(file)
      } else if (!NOT_DATA.has(basename(file))) {
        cut.bytes += cutFile(file, stat.size, synced.get(inode) ?? 0, tornBytes)
      }
    }
  }
  visit(directory)
  return cut
}

function durableOf(events: readonly DiskEvent[]): Durable {
  const bytes = new Map<string, number>()
  const nameless = new Map<string, string>()
  for (const { kind, inode, directory, bytes: size } of events) {
    // An inode may have been another file's before.
    if (kind === 'C') bytes.delete(inode)
    if (kind === 'S') bytes.set(inode, size!)
    // The name that was there before lasts, whatever it stands for.
    if (kind === 'R') nameless.delete(inode)
    if (kind === 'C' || kind === 'N' || kind === 'M') nameless.set(inode, directory!)
    if (kind !== 'D') continue
    for (const [named, parent] of nameless) if (parent === inode) nameless.delete(named)
  }
  return { bytes, nameless: new Set(nameless.keys()) }
}

/** Returns how many bytes it took or made zeros. */
function cutFile(file: string, size: number, durable: number, tornBytes: number): number {
  if (size <= durable) return 0
  const kept = Math.min(size - durable, tornBytes)
  truncateSync(file, durable + kept)
  const zeros = Math.ceil(kept / 2)
  const fd = openSync(file, 'r+')
  writeSync(fd, Buffer.alloc(zeros), 0, zeros, durable + kept - zeros)
  closeSync(fd)
  return size - durable - kept + zeros
}
