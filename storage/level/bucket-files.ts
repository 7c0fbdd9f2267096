// The files of a bucket that hold frames: segments as they were written, and block files that took the
// place of some (compaction.ts). They share one count of numbers, so a number is one file.
import fs from 'node:fs'
import path from 'node:path'
import { syncDirectoryNow } from '../../mesh/index.ts'
import { readBlockFileHead } from './blocks/block-file.ts'

export interface BucketFile {
  readonly kind: 'segment' | 'blocks'
  readonly bytes: number
}

const SUFFIX = { segment: 'seg', blocks: 'blk' } as const

/** File name; six digits so that a listing is in order. */
export function fileName(kind: BucketFile['kind'], number: number): string {
  return `${String(number).padStart(6, '0')}.${SUFFIX[kind]}`
}

/** Of the name of a file that is not finished: it counts for nothing. */
export const UNFINISHED_SUFFIX = '.tmp'

/**
 * By number, in order. Segments that a block file stands for are removed, and so is what a stop left
 * unfinished.
 */
export function bucketFiles(directory: string): Map<number, BucketFile> {
  const files = new Map<number, BucketFile>()
  for (const name of fs.readdirSync(directory).sort()) {
    if (name.endsWith(UNFINISHED_SUFFIX)) fs.rmSync(path.join(directory, name))
    const match = /^(\d{6,})\.(seg|blk)$/.exec(name)
    if (match === null) continue
    const bytes = fs.statSync(path.join(directory, name)).size
    files.set(Number(match[1]), { kind: match[2] === 'seg' ? 'segment' : 'blocks', bytes })
  }
  for (const [number, { kind }] of files) {
    if (kind !== 'blocks') continue
    const head = readBlockFileHead(path.join(directory, fileName('blocks', number)))
    const replaced = (head?.segments ?? []).filter((segment) => files.delete(segment))
    // The block file's name must last before what it stands for goes.
    if (replaced.length > 0) syncDirectoryNow(directory)
    for (const segment of replaced) fs.rmSync(path.join(directory, fileName('segment', segment)))
  }
  return files
}
