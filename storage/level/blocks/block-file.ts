// The bytes of a block file: which segments it stands for, then blocks one after another. Written
// once, as a whole, and never changed.
//
//   file    | "SKBF" | version 1 | bucket start ms u64 | n u32 | n × segment u32 | crc u32 |  record …
//   record  | block bytes u32 | check u32 | block …
//
// The check binds length and the block's own CRC to this offset of the file, as that of a segment's
// record does (record.ts).
import fs from 'node:fs'
import { crc32 } from 'node:zlib'
import { readBlock, type Block } from './block.ts'
import { readAround, readFully } from '../disk.ts'
import { mixWords, type Pace } from '../record.ts'

const MAGIC = 0x46424b53
const VERSION = 1
const HEAD_BYTES = 20
const CRC_BYTES = 4
export const BLOCK_RECORD_BYTES = 8
/** Larger than any block is made (compaction.ts). */
const BLOCK_BYTES_MAX = 64 << 20
/** First four bytes of every block, for finding the next after damage. */
const BLOCK_MAGIC = Buffer.from('SKB\x01', 'latin1')
const BLOCK_CRC_AT = 4

export function blockFileHeader(bucketStartMs: number, segments: readonly number[]): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + segments.length * 4 + CRC_BYTES)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt32LE(VERSION, 4)
  bytes.writeBigUInt64LE(BigInt(bucketStartMs), 8)
  bytes.writeUInt32LE(segments.length, 16)
  for (const [i, segment] of segments.entries()) bytes.writeUInt32LE(segment, HEAD_BYTES + i * 4)
  const end = bytes.length - CRC_BYTES
  bytes.writeUInt32LE(crc32(bytes.subarray(0, end)), end)
  return bytes
}

/** The record of a block that will stand at `offset`. */
export function blockRecord(block: Buffer, offset: number): Buffer {
  const header = Buffer.allocUnsafe(BLOCK_RECORD_BYTES)
  header.writeUInt32LE(block.length, 0)
  header.writeUInt32LE(checkOf(offset, block.length, block.readUInt32LE(BLOCK_CRC_AT)), 4)
  return Buffer.concat([header, block])
}

export interface BlockFileHead {
  /** Segments whose frames are in the file: they count no more. */
  readonly segments: readonly number[]
  /** Where the first record stands. */
  readonly bytes: number
}

/** Undefined when it is damaged: then nobody knows what the file stands for. */
export function readBlockFileHead(file: string): BlockFileHead | undefined {
  const fd = fs.openSync(file, 'r')
  try {
    const head = Buffer.alloc(HEAD_BYTES)
    if (fs.readSync(fd, head, 0, HEAD_BYTES, 0) < HEAD_BYTES) return undefined
    if (head.readUInt32LE(0) !== MAGIC || head.readUInt32LE(4) !== VERSION) return undefined
    const count = head.readUInt32LE(16)
    const bytes = HEAD_BYTES + count * 4 + CRC_BYTES
    if (bytes > fs.fstatSync(fd).size) return undefined
    const all = Buffer.alloc(bytes)
    fs.readSync(fd, all, 0, bytes, 0)
    const end = bytes - CRC_BYTES
    if (crc32(all.subarray(0, end)) !== all.readUInt32LE(end)) return undefined
    return {
      segments: Array.from({ length: count }, (_, i) => all.readUInt32LE(HEAD_BYTES + i * 4)),
      bytes,
    }
  } finally {
    fs.closeSync(fd)
  }
}

/** A block and its record's offset. */
export interface PlacedBlock {
  readonly offset: number
  readonly bytes: number
  readonly block: Block
}

/** Checks and reads the record at `offset`, `bytes` being that of the block; a string says what is wrong. */
export async function readPlacedBlock(
  fd: number,
  offset: number,
  bytes: number,
  read: typeof readFully = readFully,
): Promise<Block | string> {
  const record = Buffer.allocUnsafe(BLOCK_RECORD_BYTES + bytes)
  const got = await read(fd, record, record.length, offset)
  if (got < record.length) return 'short'
  const block = record.subarray(BLOCK_RECORD_BYTES)
  const check = checkOf(offset, bytes, block.readUInt32LE(BLOCK_CRC_AT))
  if (record.readUInt32LE(0) !== bytes || record.readUInt32LE(4) !== check) return 'record header'
  return readBlock(block)
}

/** Hands over every block that holds, in order; damage is stepped over to the next that does. */
export async function scanBlockFile(
  fd: number,
  visit: (placed: PlacedBlock) => void | Promise<void>,
  pace: Pace = () => Promise.resolve(),
): Promise<void> {
  const size = fs.fstatSync(fd).size
  let offset = await nextBlock(fd, 0, size)
  while (offset < size) {
    const header = Buffer.alloc(BLOCK_RECORD_BYTES)
    await readAround(fd, header, BLOCK_RECORD_BYTES, offset)
    const bytes = header.readUInt32LE(0)
    const isPossible = bytes <= BLOCK_BYTES_MAX && offset + BLOCK_RECORD_BYTES + bytes <= size
    const block = isPossible ? await readPlacedBlock(fd, offset, bytes, readAround) : 'length'
    await pace(BLOCK_RECORD_BYTES + (isPossible ? bytes : 0))
    if (typeof block === 'string') {
      offset = await nextBlock(fd, offset + 1, size)
    } else {
      await visit({ offset, bytes, block })
      offset += BLOCK_RECORD_BYTES + bytes
    }
  }
}

/** Where the next block's magic allows a record to begin, at `from` or later; `size` when there is none. */
async function nextBlock(fd: number, from: number, size: number): Promise<number> {
  const window = Buffer.allocUnsafe(1 << 20)
  for (let at = from; at < size; at += window.length - BLOCK_MAGIC.length) {
    const got = await readAround(fd, window, Math.min(window.length, size - at), at)
    let found = window.subarray(0, got).indexOf(BLOCK_MAGIC)
    while (found >= 0 && at + found - BLOCK_RECORD_BYTES < from) {
      found = window.subarray(0, got).indexOf(BLOCK_MAGIC, found + 1)
    }
    if (found >= 0) return at + found - BLOCK_RECORD_BYTES
    if (at + got >= size) break
  }
  return size
}

function checkOf(offset: number, bytes: number, crc: number): number {
  return mixWords(offset, bytes, crc)
}
