// Opens the index of a bucket. The index can be rebuilt from the segments, so one that LevelDB calls
// corrupt is put aside by removing it; the bucket finds it empty and rebuilds it.
import fs from 'node:fs'
import { ClassicLevel } from 'classic-level'
import { asDiskFull, isErrorCode, makeDirectory } from './disk.ts'
import type { HandlePool } from './handle-pool.ts'
import type { IndexDatabase } from './records.ts'

const OPTIONS = {
  keyEncoding: 'buffer',
  valueEncoding: 'buffer',
  // Entries are times, offsets and checksums: there is little to compress.
  compression: false,
  // An index is read by few and seldom; many may be open at once.
  cacheSize: 2 << 20,
  writeBufferSize: 4 << 20,
  // Keys come in order, so larger files mean fewer of them and nothing to merge.
  maxFileSize: 16 << 20,
} as const

export async function openIndex(directory: string): Promise<IndexDatabase> {
  await makeDirectory(directory)
  try {
    return await open(directory)
  } catch (error) {
    if (!isDamage(error)) throw asDiskFull(error, `cannot open the index ${directory}`)
    await fs.promises.rm(directory, { recursive: true, force: true })
    await makeDirectory(directory)
    return open(directory)
  }
}

async function open(directory: string): Promise<IndexDatabase> {
  const database: IndexDatabase = new ClassicLevel(directory, OPTIONS)
  await database.open()
  return database
}

/** Not a full disk, a lock or a lack of descriptors, which say nothing of what the files hold. */
export function isDamage(error: unknown): boolean {
  // A failure to open is wrapped by abstract-level, any other comes as it is.
  const { cause = error } = error as Error
  if (isErrorCode(cause, 'LEVEL_CORRUPTION')) return true
  return isErrorCode(cause, 'LEVEL_IO_ERROR') && /no such file/i.test((cause as Error).message)
}

/** Rebuilding again and again would hide a disk that rots as fast as it is written. */
const REBUILDS_MAX = 3

/** The index of one bucket as its users see it: open when used, and made anew when LevelDB gives up on it. */
export class BucketIndex {
  private readonly pool: HandlePool<IndexDatabase>
  private readonly directory: string
  private readonly refill: (db: IndexDatabase) => Promise<void>
  private rebuilds = 0
  private rebuilding: Promise<void> | undefined

  /** `refill` writes what the segments hold to the index, which is empty then. */
  constructor(
    pool: HandlePool<IndexDatabase>,
    directory: string,
    refill: (db: IndexDatabase) => Promise<void>,
  ) {
    this.pool = pool
    this.directory = directory
    this.refill = refill
  }

  async use<R>(work: (db: IndexDatabase) => Promise<R>): Promise<R> {
    try {
      return await this.pool.use(this.directory, work)
    } catch (error) {
      if (!isDamage(error)) {
        // LevelDB takes nothing more after a write that failed, until it is opened anew.
        if (isErrorCode(error, 'LEVEL_IO_ERROR', 'ENOSPC')) await this.close()
        throw error
      }
      if (this.rebuilding === undefined) {
        if (this.rebuilds >= REBUILDS_MAX) throw error
        this.rebuilds += 1
        this.rebuilding = this.rebuild().finally(() => {
          this.rebuilding = undefined
        })
      }
      await this.rebuilding
      return this.pool.use(this.directory, work)
    }
  }

  async close(): Promise<void> {
    await this.pool.close(this.directory)
  }

  private async rebuild(): Promise<void> {
    await this.close()
    await fs.promises.rm(this.directory, { recursive: true, force: true })
    await this.pool.use(this.directory, this.refill)
  }
}
