// Opens the index of a bucket. The index can be rebuilt from the segments, so one that LevelDB calls
// corrupt is put aside by removing it; the bucket finds it empty and rebuilds it.
import fs from 'node:fs'
import { ClassicLevel } from 'classic-level'
import { isErrorCode, makeDirectory } from './disk.ts'
import type { IndexDatabase } from './segment-index.ts'

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
    if (!isDamage(error)) throw error
    await fs.promises.rm(directory, { recursive: true })
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
function isDamage(error: unknown): boolean {
  const { cause } = error as Error
  if (isErrorCode(cause, 'LEVEL_CORRUPTION')) return true
  return isErrorCode(cause, 'LEVEL_IO_ERROR') && /no such file/i.test((cause as Error).message)
}
