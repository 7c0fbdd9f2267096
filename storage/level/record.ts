// The bytes of a segment file: a header, then records one after another, only ever appended.
//
//   segment   | "SKSG" | version 1 | bucket start ms u64 |  record  record  record …
//   record    | frame bytes u32 | ingest µs u64 | check u32 |  frame …
//
// The check binds length, ingest time and the frame's own CRC to this offset of the file, so that a
// scan that lost its place finds it again at the next record that truly stands there, never inside
// a body that happens to hold a copy of one. Everything else a store knows can be rebuilt from here.
import fs from 'node:fs'
import { FRAME_BYTES_MAX, FRAME_HEADER_BYTES, readFrame, type Frame } from '../../mesh/index.ts'
import { readAround } from './disk.ts'

export const SEGMENT_HEADER_BYTES = 16
export const RECORD_HEADER_BYTES = 16

/** "SKSG" read as one little-endian number. */
const SEGMENT_MAGIC = 0x47534b53
const SEGMENT_VERSION = 1
/** First four bytes of every frame, for finding the next record after damage. */
const FRAME_MAGIC = Buffer.from('SKF\x01', 'latin1')
/** Four of the largest frames: a window always holds a whole record. */
const SCAN_WINDOW_BYTES = 4 * FRAME_BYTES_MAX
const U32 = 0x1_0000_0000
const CHECK_SEED = 0x9747b28c

export function writeSegmentHeader(into: Buffer, bucketStartMs: number): void {
  into.writeUInt32LE(SEGMENT_MAGIC, 0)
  into.writeUInt32LE(SEGMENT_VERSION, 4)
  into.writeUInt32LE(bucketStartMs % U32, 8)
  into.writeUInt32LE(Math.floor(bucketStartMs / U32), 12)
}

/** Writes a record's header and frame at `at`; `offset` is where the record will stand in its file. */
export function writeRecord(
  into: Buffer,
  at: number,
  offset: number,
  frame: Frame,
  ingestUs: number,
): void {
  const { bytes } = frame
  const low = ingestUs % U32
  const high = Math.floor(ingestUs / U32)
  into.writeUInt32LE(bytes.length, at)
  into.writeUInt32LE(low, at + 4)
  into.writeUInt32LE(high, at + 8)
  into.writeUInt32LE(recordCheck(offset, bytes.length, low, high, frame.crc), at + 12)
  into.set(bytes, at + RECORD_HEADER_BYTES)
}

function recordCheck(offset: number, length: number, low: number, high: number, crc: number) {
  return finish(mix(mix(mix(mix(mix(CHECK_SEED, offset), length), low), high), crc))
}

/** Murmur3's mixing over a few numbers: cheap, and a changed bit changes about half the others. */
export function mixWords(...words: readonly number[]): number {
  return finish(words.reduce(mix, CHECK_SEED))
}

function finish(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function mix(h: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51)
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593)
  const mixed = h ^ k
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0
}

/** A record read whole. `frame` is a view into the bytes it was read from. */
export interface SegmentRecord {
  readonly offset: number
  readonly frame: Frame
  readonly ingestUs: number
}

/** How many bytes the record at `at` claims, or undefined when its header does not hold. */
function claimedBytes(bytes: Buffer, at: number, offset: number): number | undefined {
  const length = bytes.readUInt32LE(at)
  if (length < FRAME_HEADER_BYTES || length > FRAME_BYTES_MAX) return undefined
  const check = recordCheck(
    offset,
    length,
    bytes.readUInt32LE(at + 4),
    bytes.readUInt32LE(at + 8),
    bytes.readUInt32LE(at + RECORD_HEADER_BYTES + 4),
  )
  return check === bytes.readUInt32LE(at + 12) ? length : undefined
}

/** Checks and reads one whole record, header included; a string says what is wrong with it. */
export function readRecord(bytes: Buffer, offset: number): SegmentRecord | string {
  if (bytes.length < RECORD_HEADER_BYTES + FRAME_HEADER_BYTES) return 'short'
  const length = claimedBytes(bytes, 0, offset)
  if (length === undefined) return 'record header'
  if (RECORD_HEADER_BYTES + length !== bytes.length) return 'length'
  const frame = readFrame(bytes.subarray(RECORD_HEADER_BYTES))
  if (typeof frame === 'string') return frame
  return { offset, frame, ingestUs: bytes.readUInt32LE(4) + bytes.readUInt32LE(8) * U32 }
}

/** Called with what was just read; resolves when more may be. */
export type Pace = (bytes: number) => Promise<void>

/**
 * Reads a segment from end to end and hands over every record that holds, in order; views are good
 * only during the call. Damage is stepped over to the next record that holds.
 */
export async function scanSegment(
  fd: number,
  visit: (record: SegmentRecord) => void,
  pace: Pace = () => Promise.resolve(),
): Promise<void> {
  const size = fs.fstatSync(fd).size
  const window = Buffer.allocUnsafeSlow(Math.min(SCAN_WINDOW_BYTES, Math.max(size, 1)))
  let offset = SEGMENT_HEADER_BYTES
  while (offset < size) {
    const got = await readAround(fd, window, Math.min(window.length, size - offset), offset)
    await pace(got)
    const isLast = offset + got >= size
    offset += scanRecords(window.subarray(0, got), offset, isLast, visit)
    if (isLast) break
  }
}

/**
 * As scanSegment, of a stretch of a segment that begins at `offset`. Returns how many bytes are done
 * with: the rest may be the begin of a record, unless the stretch is the last.
 */
export function scanRecords(
  bytes: Buffer,
  offset: number,
  isLast: boolean,
  visit: (record: SegmentRecord) => void,
): number {
  let at = 0
  while (at + RECORD_HEADER_BYTES + FRAME_HEADER_BYTES <= bytes.length) {
    const length = claimedBytes(bytes, at, offset + at)
    if (length === undefined) {
      at = nextRecordAt(bytes, at + 1)
      continue
    }
    const end = at + RECORD_HEADER_BYTES + length
    const isWhole = end <= bytes.length
    // The rest of it is in the next stretch; at the end of the file it is a torn write.
    if (!isWhole && !isLast) break
    const record = isWhole ? readRecord(bytes.subarray(at, end), offset + at) : 'short'
    if (typeof record !== 'string') visit(record)
    at = isWhole ? end : nextRecordAt(bytes, at + 1)
  }
  return at
}

/** Where the next frame's magic allows a record to begin; close to the end when there is none. */
function nextRecordAt(bytes: Buffer, from: number): number {
  const magicAt = bytes.indexOf(FRAME_MAGIC, from + RECORD_HEADER_BYTES)
  if (magicAt >= 0) return magicAt - RECORD_HEADER_BYTES
  return Math.max(from, bytes.length - RECORD_HEADER_BYTES - FRAME_MAGIC.length + 1)
}
