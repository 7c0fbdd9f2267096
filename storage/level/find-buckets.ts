// The buckets on a store's disk: buckets/<class>/<start>/, and the lock beside the classes.
import fs from 'node:fs'
import path from 'node:path'
import { syncDirectory } from '../../mesh/index.ts'
import { REMOVED_SUFFIX } from './bucket.ts'

/** No class may be called so. */
export const LOCK = 'lock'

export interface FoundBucket {
  readonly className: string
  readonly startMs: number
}

/**
 * Oldest first. What a stop in the middle of a removal left is removed; what was made just before a stop may
 * have a name that is not synced, and is trusted with frames from now on.
 */
export async function findBuckets(directory: string): Promise<FoundBucket[]> {
  const found: FoundBucket[] = []
  await syncDirectory(directory)
  for (const className of await fs.promises.readdir(directory)) {
    if (className === LOCK) continue
    const ofClass = path.join(directory, className)
    await syncDirectory(ofClass)
    for (const name of await fs.promises.readdir(ofClass)) {
      if (/^\d+$/.test(name)) found.push({ className, startMs: Number(name) })
      else if (name.endsWith(REMOVED_SUFFIX)) {
        await fs.promises.rm(path.join(ofClass, name), { recursive: true, force: true })
      }
    }
  }
  return found.sort((a, b) => a.startMs - b.startMs)
}
