// One process at a time in a directory. The lock is LevelDB's own: fcntl on a file, which the kernel
// drops however its owner ends, so a kill -9 leaves nothing to clean up; within one process LevelDB
// keeps a list of its own.
import fs from 'node:fs'
import path from 'node:path'
import { ClassicLevel } from 'classic-level'
import { StorageError } from './errors.ts'
import { asDiskFull, isErrorCode } from './level/disk.ts'
import { isDamage } from './level/index-database.ts'

export interface DirectoryLock {
  release(): Promise<void>
}

/**
 * Takes the lock `directory` (made when missing), held until released or the process ends.
 * @throws StorageError STORE_IN_USE when another process, or another part of this one, has it;
 * STORE_DISK_FULL.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const database = new ClassicLevel(directory)
  try {
    // Whoever gets as far as damage has the lock. There is nothing in it that could be lost.
    await database.open().catch(async (error: unknown) => {
      if (!isDamage(error)) throw error
      await emptyDirectory(directory)
      await database.open()
    })
  } catch (error) {
    if (!isErrorCode((error as Error).cause, 'LEVEL_LOCKED')) {
      throw asDiskFull(error, `cannot lock ${directory}`)
    }
    throw new StorageError(
      'STORE_IN_USE',
      `${directory} is locked: another process uses this store. Stop it, or choose another directory`,
      { cause: error, details: { directory } },
    )
  }
  return { release: () => database.close() }
}

/** But for the file that is locked. */
async function emptyDirectory(directory: string): Promise<void> {
  for (const name of await fs.promises.readdir(directory)) {
    if (name !== 'LOCK') await fs.promises.rm(path.join(directory, name))
  }
}
