// What is on the disk of one storage peer, read without the peer.
import { closeSync, cpSync, openSync, readdirSync, rmSync, type Dirent } from 'node:fs'
import { join } from 'node:path'
import type { LaneDigest } from '../../storage/coverage.ts'
import { openLevelStore } from '../../storage/index.ts'
import { scanBlockFile } from '../../storage/level/blocks/block-file.ts'
import { scanSegment } from '../../storage/level/record.ts'
import { storeDigest } from '../../storage/query/digest.ts'

/** What a store would find if it were started on this directory now, which stays as it is. */
export async function lanesOnDisk(directory: string): Promise<readonly LaneDigest[]> {
  const copy = `${directory}.copy`
  cpSync(directory, copy, { recursive: true })
  try {
    const store = await openLevelStore({ directory: copy })
    const lanes = storeDigest(store, {})
    await store.close()
    return lanes
  } finally {
    rmSync(copy, { recursive: true })
  }
}

/** Frames that stand in the segments and blocks of a store that is down more than once. */
export async function framesWrittenTwice(directory: string): Promise<number> {
  const seen = new Set<string>()
  let twice = 0
  const note = (laneKey: string, sequence: number): void => {
    const name = `${sequence} ${laneKey}`
    if (seen.has(name)) twice += 1
    seen.add(name)
  }
  for (const file of filesOf(directory, /\.(seg|blk)$/)) {
    const fd = openSync(file, 'r')
    try {
      if (file.endsWith('.seg')) {
        await scanSegment(fd, ({ frame }) => note(frame.laneKey, frame.sequence))
      } else {
        await scanBlockFile(fd, ({ block }) => {
          for (const { sequence } of block.frames) note(block.laneKey, sequence)
        })
      }
    } finally {
      closeSync(fd)
    }
  }
  return twice
}

/** Paths below a directory that match, in order; of one in use, as far as they stay meanwhile. */
export function filesOf(directory: string, pattern: RegExp): string[] {
  return filesBelow(directory)
    .filter((file) => pattern.test(file))
    .sort()
}

function filesBelow(directory: string): string[] {
  return entriesOf(directory).flatMap((entry) => {
    const path = join(directory, entry.name)
    return entry.isDirectory() ? filesBelow(path) : [path]
  })
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
