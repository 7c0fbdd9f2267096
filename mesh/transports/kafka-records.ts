// Kafka's record batches (format 2, KIP-98), as bytes. The client library has an encoder and a decoder
// of its own, which make several objects and BigInts for each record; these make none, and they pass
// over what they cannot read instead of failing the whole fetch. Measured in docs/adr/0004.
//
//   batch   base offset 8 · length 4 · leader epoch 4 · magic 1 · crc 4 · attributes 2 ·
//           last offset delta 4 · base timestamp 8 · greatest 8 · producer 8 + 2 · sequence 4 · count 4
//   record  length · attributes 1 · timestamp delta · offset delta · key length · key ·
//           value length · value · headers          (numbers without a size: zigzag varints)
//
// The records of a compressed batch are one zstd frame; of the other compressions none is read.
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'

export interface Entry {
  readonly key: Buffer
  readonly value: Uint8Array
}

export interface BatchOptions {
  /** Tells the broker a batch that is sent again from a new one (KIP-98). */
  readonly producer?: ProducerState
  readonly compress?: boolean
}

export interface ProducerState {
  /** As the broker gave them. */
  readonly id: bigint
  readonly epoch: number
  /** Of the first record in its partition. */
  readonly sequence: number
}

export interface RecordSink {
  record(offset: number, key: Buffer, value: Buffer): void
  /** Records that cannot be read: compressed other than by zstd, of another format, torn, without key or value. */
  rejected(count: number): void
}

const MAGIC = 2
const LENGTH_AT = 8
const MAGIC_AT = 16
const CRC_AT = 17
/** Where the bytes begin that the CRC covers. */
const ATTRIBUTES_AT = 21
export const HEAD_BYTES = 61
const COMPRESSION_BITS = 0b111
const ZSTD = 4
/** Beyond what a broker takes as one batch, whatever it was made to unfold to. */
const UNFOLDED_BYTES_MAX = 64 * 1024 * 1024
const CONTROL_BIT = 0b10_0000
/** Attributes, timestamp delta 0 and no headers: one byte each. */
const RECORD_FIXED_BYTES = 3
/** No id: nothing is sent twice, so the broker has no duplicates to look for. */
const NO_PRODUCER: ProducerState = { id: -1n, epoch: -1, sequence: -1 }

/** One batch of at least one record, stamped `nowMs`. */
export function encodeBatch(
  entries: readonly Entry[],
  nowMs: number,
  crc32c: (bytes: Buffer) => number,
  { producer = NO_PRODUCER, compress = false }: BatchOptions = {},
): Buffer {
  const whole = writeRecords(entries)
  const bytes = compress
    ? Buffer.concat([whole.subarray(0, HEAD_BYTES), zstdCompressSync(whole.subarray(HEAD_BYTES))])
    : whole
  writeHead(bytes, entries.length, BigInt(Math.floor(nowMs)), compress ? ZSTD : 0, producer)
  bytes.writeUInt32BE(crc32c(bytes.subarray(ATTRIBUTES_AT)), CRC_AT)
  return bytes
}

/** How many bytes a record adds to a batch that is not compressed; `index`: its place there. */
export function recordBytes(entry: Entry, index: number): number {
  const length = recordLength(entry, index)
  return varintBytes(length) + length
}

/** Behind room for the head. */
function writeRecords(entries: readonly Entry[]): Buffer {
  const lengths = entries.map(recordLength)
  let size = HEAD_BYTES
  for (const length of lengths) size += varintBytes(length) + length
  const bytes = Buffer.allocUnsafe(size)
  let at = HEAD_BYTES
  for (const [index, { key, value }] of entries.entries()) {
    at = writeVarint(bytes, at, lengths[index]!)
    at = bytes.writeUInt8(0, at)
    at = bytes.writeUInt8(0, at)
    at = writeVarint(bytes, at, index)
    at = writeVarint(bytes, at, key.length)
    at += key.copy(bytes, at)
    at = writeVarint(bytes, at, value.length)
    bytes.set(value, at)
    at = bytes.writeUInt8(0, at + value.length)
  }
  return bytes
}

function writeHead(
  bytes: Buffer,
  count: number,
  nowMs: bigint,
  attributes: number,
  { id, epoch, sequence }: ProducerState,
): void {
  bytes.writeBigInt64BE(0n, 0)
  bytes.writeInt32BE(bytes.length - LENGTH_AT - 4, LENGTH_AT)
  bytes.writeInt32BE(-1, 12)
  bytes.writeInt8(MAGIC, MAGIC_AT)
  bytes.writeInt16BE(attributes, ATTRIBUTES_AT)
  bytes.writeInt32BE(count - 1, 23)
  bytes.writeBigInt64BE(nowMs, 27)
  bytes.writeBigInt64BE(nowMs, 35)
  bytes.writeBigInt64BE(id, 43)
  bytes.writeInt16BE(epoch, 51)
  bytes.writeInt32BE(sequence, 53)
  bytes.writeInt32BE(count, 57)
}

/**
 * Gives every record from `from` on to the sink and returns the offset after the last batch, or
 * `from` when there is no whole one: a broker cuts the last batch off wherever its limit is.
 */
export function decodeBatches(bytes: Buffer, from: number, sink: RecordSink): number {
  let next = from
  let at = 0
  while (at + HEAD_BYTES <= bytes.length) {
    const end = at + LENGTH_AT + 4 + bytes.readInt32BE(at + LENGTH_AT)
    if (end > bytes.length || end < at + HEAD_BYTES) break
    const batch = bytes.subarray(at, end)
    const base = Number(batch.readBigInt64BE(0))
    decodeBatch(batch, base, from, sink)
    next = Math.max(next, base + batch.readInt32BE(23) + 1)
    at = end
  }
  return next
}

function decodeBatch(batch: Buffer, base: number, from: number, sink: RecordSink): void {
  const attributes = batch.readInt16BE(ATTRIBUTES_AT)
  // Marks the end of a transaction; holds nothing.
  if ((attributes & CONTROL_BIT) !== 0) return
  const count = batch.readInt32BE(57)
  const records = batch[MAGIC_AT] === MAGIC ? recordsOf(batch, attributes) : undefined
  if (records === undefined) {
    sink.rejected(Math.max(1, count))
    return
  }
  const cursor = new Cursor(records)
  for (let index = 0; index < count; index += 1) {
    try {
      readRecord(cursor, base, from, sink)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      sink.rejected(count - index)
      return
    }
  }
}

/** Undefined when they are compressed in a way that is not read, or do not unfold. */
function recordsOf(batch: Buffer, attributes: number): Buffer | undefined {
  const records = batch.subarray(HEAD_BYTES)
  const compression = attributes & COMPRESSION_BITS
  if (compression === 0) return records
  if (compression !== ZSTD) return undefined
  try {
    return zstdDecompressSync(records, { maxOutputLength: UNFOLDED_BYTES_MAX })
  } catch {
    return undefined
  }
}

function readRecord(cursor: Cursor, base: number, from: number, sink: RecordSink): void {
  const length = cursor.varint()
  const end = cursor.at + length
  cursor.skip(1)
  // The timestamp's delta may have more bits than a varint of 32; its value is of no use here.
  cursor.skipVarint()
  const offset = base + cursor.varint()
  const key = cursor.bytes(cursor.varint())
  const value = cursor.bytes(cursor.varint())
  cursor.moveTo(end)
  if (offset < from) return
  if (key === undefined || value === undefined) sink.rejected(1)
  else sink.record(offset, key, value)
}

/** Reads numbers off a buffer. @throws RangeError when it ends before they do. */
export class Cursor {
  readonly buffer: Buffer
  at: number

  constructor(buffer: Buffer, at = 0) {
    this.buffer = buffer
    this.at = at
  }

  int16(): number {
    this.at += 2
    return this.buffer.readInt16BE(this.at - 2)
  }

  int32(): number {
    this.at += 4
    return this.buffer.readInt32BE(this.at - 4)
  }

  /** Offsets stay far below 2^53. */
  int64(): number {
    this.at += 8
    return Number(this.buffer.readBigInt64BE(this.at - 8))
  }

  /** Unsigned, 7 bits a byte, least significant first. */
  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.buffer.readUInt8(this.at)
      this.at += 1
      value |= (byte & 127) << shift
      if (byte < 128) return value >>> 0
    }
    throw new RangeError('a varint of more than five bytes')
  }

  varint(): number {
    const value = this.unsignedVarint()
    return (value >>> 1) ^ -(value & 1)
  }

  skipVarint(): void {
    while (this.buffer.readUInt8(this.at) >= 128) this.at += 1
    this.at += 1
  }

  /** A view; undefined for a length below zero, which stands for null. */
  bytes(length: number): Buffer | undefined {
    if (length < 0) return undefined
    const from = this.at
    this.skip(length)
    return this.buffer.subarray(from, this.at)
  }

  skip(length: number): void {
    this.moveTo(this.at + length)
  }

  moveTo(at: number): void {
    if (at < this.at || at > this.buffer.length) throw new RangeError('beyond the end of the bytes')
    this.at = at
  }
}

function recordLength({ key, value }: Entry, index: number): number {
  const lengths = varintBytes(index) + varintBytes(key.length) + varintBytes(value.length)
  return RECORD_FIXED_BYTES + lengths + key.length + value.length
}

/** How many bytes a non-negative number takes as a zigzag varint. */
function varintBytes(value: number): number {
  let rest = value >>> 6
  let bytes = 1
  for (; rest > 0; rest >>>= 7) bytes += 1
  return bytes
}

/** Writes a non-negative number and returns where the next byte goes. */
function writeVarint(bytes: Buffer, at: number, value: number): number {
  let rest = value * 2
  let next = at
  for (; rest >= 128; rest = Math.floor(rest / 128)) {
    bytes[next] = (rest % 128) | 128
    next += 1
  }
  bytes[next] = rest
  return next + 1
}
