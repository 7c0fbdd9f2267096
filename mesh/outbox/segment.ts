// One file of the outbox log: outbox-<mesh id>-<number>.log. Written only at its end and only while it
// is the newest; deleted when nothing in it is live. The mesh id is in the name, so that a log of
// another mesh is recognised whatever happened to its bytes.
import { closeSync, fdatasync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import type { MeshId } from '../names.ts'

const fdatasyncAsync = promisify(fdatasync)

/** The first bytes of each segment; the last one is the version of the format. */
export const SEGMENT_MAGIC = Buffer.from('SKOUTBX1', 'latin1')

const NAME = /^outbox-([0-9a-f]{16})-(\d{10})\.log$/

/** Thrown by append when even the removal of a half-written record failed. */
export class TornWriteError extends Error {}

export class Segment {
  readonly number: number
  readonly path: string
  /** Starts the CRC of every record in it, see recordSeed in records.ts. */
  readonly seed: number
  /** Bytes that count; what a failed write left behind them is cut off. */
  size = 0
  /** Bytes of magic and checkpoint at its start. */
  headBytes = 0
  /** Records in it that are live, and their bytes. */
  liveRecords = 0
  liveBytes = 0
  /** Holds live records that cannot be read, so that they cannot be moved either. */
  isStuck = false
  private syncedBytes = 0
  private fd: number | undefined

  constructor(directory: string, meshId: MeshId, number: number) {
    const name = `outbox-${meshId}-${String(number).padStart(10, '0')}.log`
    this.number = number
    this.path = join(directory, name)
    this.seed = crc32(Buffer.from(name, 'latin1'))
  }

  get isDirty(): boolean {
    return this.syncedBytes < this.size
  }

  /** Creates the file with its head. @throws the error of the system, with no file left. */
  create(head: Buffer, headBytes: number): void {
    this.fd = openSync(this.path, 'wx+')
    try {
      this.append(head, headBytes)
    } catch (error) {
      this.close()
      rmSync(this.path, { force: true })
      throw error
    }
    this.headBytes = headBytes
  }

  /** Takes over a file of an earlier life, which may have been killed before it synced it. */
  adopt(size: number): void {
    this.size = size
  }

  /**
   * Writes at the end, all or nothing, and returns the offset.
   * @throws the error of the system (disk full …) with nothing written, or TornWriteError.
   */
  append(bytes: Buffer, length: number): number {
    const offset = this.size
    try {
      for (let done = 0; done < length;) {
        done += writeSync(this.fd!, bytes, done, length - done, offset + done)
      }
    } catch (error) {
      this.cutHalfWritten(error)
      throw error
    }
    this.size += length
    return offset
  }

  /** Reads `length` bytes at `offset`; shorter when the file is. */
  read(offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(length)
    const fd = this.fd ?? openSync(this.path, 'r')
    try {
      let done = 0
      while (done < length) {
        const count = readSync(fd, bytes, done, length - done, offset + done)
        if (count === 0) break
        done += count
      }
      return done === length ? bytes : bytes.subarray(0, done)
    } finally {
      if (this.fd === undefined) closeSync(fd)
    }
  }

  /** Brings to disk what was written before the call. */
  async sync(): Promise<void> {
    const { size } = this
    this.fd ??= openSync(this.path, 'r+')
    await fdatasyncAsync(this.fd)
    this.syncedBytes = size
  }

  /** Closes the file; it can still be read. */
  close(): void {
    if (this.fd === undefined) return
    closeSync(this.fd)
    this.fd = undefined
  }

  async remove(): Promise<void> {
    this.close()
    await rm(this.path, { force: true })
  }

  // Records before the failing one in a batch would otherwise be found by the next life although
  // their caller was told that nothing was accepted.
  private cutHalfWritten(cause: unknown): void {
    try {
      ftruncateSync(this.fd!, this.size)
    } catch {
      throw new TornWriteError(`cannot cut ${this.path} to ${this.size} bytes`, { cause })
    }
  }
}

/** The mesh and the number of a segment's file name, or undefined for other files. */
export function parseSegmentName(name: string): { meshId: MeshId; number: number } | undefined {
  const match = NAME.exec(name)
  if (match === null) return undefined
  return { meshId: match[1] as MeshId, number: Number(match[2]) }
}
