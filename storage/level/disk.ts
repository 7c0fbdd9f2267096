// The few things a store asks of the file system, with what is needed to make them last: a new name
// in a directory is durable only once the directory is synced. Callback calls on bare descriptors
// where it is hot: a FileHandle's promises cost several microseconds each.
import fs from 'node:fs'
import path from 'node:path'
import { createDirectory, syncDirectory } from '../../mesh/index.ts'
import { messageOf, StorageError } from '../errors.ts'

/** The least that a disk reads or fails to read. */
const SECTOR_BYTES = 4096

/** Reads up to `length` bytes at `position`; fewer only at the end of the file. */
export function readFully(
  fd: number,
  into: Buffer,
  length: number,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const read = (have: number): void => {
      fs.read(fd, into, have, length - have, position + have, (error, got) => {
        if (error !== null) reject(error)
        else if (got === 0 || have + got === length) resolve(have + got)
        else read(have + got)
      })
    }
    read(0)
  })
}

/**
 * As readFully, but what the disk cannot read comes as zeros: a scan takes them for damage, and steps over
 * it to what can be read.
 */
export async function readAround(
  fd: number,
  into: Buffer,
  length: number,
  position: number,
): Promise<number> {
  const bytes = await unlessBad(readFully(fd, into, length, position))
  if (bytes !== undefined) return bytes
  for (let at = 0; at < length; at += SECTOR_BYTES) {
    const sector = into.subarray(at, Math.min(at + SECTOR_BYTES, length))
    const got = await unlessBad(readFully(fd, sector, sector.length, position + at))
    if (got === undefined) sector.fill(0)
    else if (got < sector.length) return at + got
  }
  return length
}

/** Undefined when the disk cannot read it. */
async function unlessBad(reading: Promise<number>): Promise<number | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isErrorCode(error, 'EIO')) return undefined
    throw error
  }
}

export function dataSync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fdatasync(fd, (error) => (error === null ? resolve() : reject(error)))
  })
}

/** As createDirectory, with a full disk said. @throws StorageError STORE_DISK_FULL, or the system's error. */
export async function makeDirectory(directory: string): Promise<void> {
  try {
    await createDirectory(directory)
  } catch (error) {
    throw asDiskFull(error, `cannot make ${directory}`)
  }
}

/** Writes a small file so that after a crash it is there whole, or as it was before. */
export async function replaceFile(file: string, bytes: string | Uint8Array): Promise<void> {
  const temporary = `${file}.tmp`
  const handle = await fs.promises.open(temporary, 'w')
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await fs.promises.rename(temporary, file)
  await syncDirectory(path.dirname(file))
}

/** Bytes of all files in a directory and below. */
export async function directoryBytes(directory: string): Promise<number> {
  let bytes = 0
  const options = { recursive: true, withFileTypes: true } as const
  for (const entry of await fs.promises.readdir(directory, options)) {
    if (!entry.isFile()) continue
    const file = path.join(entry.parentPath, entry.name)
    // LevelDB may remove a file of its own between the listing and now.
    bytes += fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0
  }
  return bytes
}

export function isErrorCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}

/** STORE_DISK_FULL or STORE_WRITE_FAILED, whichever the cause says; a StorageError stays as it is. */
export function asWriteError(cause: unknown, what: string): StorageError {
  if (cause instanceof StorageError) return cause
  const reason = causesOf(cause).map(messageOf).join(': ')
  const options = { cause, retryable: true }
  if (!isDiskFull(cause))
    return new StorageError('STORE_WRITE_FAILED', `${what}: ${reason}`, options)
  const message = `${what}: the disk is full (${reason}): free at least 4 MiB of space`
  return new StorageError('STORE_DISK_FULL', message, options)
}

/** As asWriteError for a disk that is full; every other error stays as it is. */
export function asDiskFull(cause: unknown, what: string): unknown {
  return isDiskFull(cause) ? asWriteError(cause, what) : cause
}

/** Whether any cause of it is: abstract-level says only that a database failed to open. */
function isDiskFull(error: unknown): boolean {
  return causesOf(error).some(
    // LevelDB hands on only the text of errno.
    (each) => isErrorCode(each, 'ENOSPC', 'EDQUOT') || /no space left|quota/i.test(messageOf(each)),
  )
}

/** The error, what caused it, what caused that … */
function causesOf(error: unknown): unknown[] {
  const causes = [error]
  for (let at = error; at instanceof Error && at.cause !== undefined; at = at.cause) {
    causes.push(at.cause)
  }
  return causes
}
