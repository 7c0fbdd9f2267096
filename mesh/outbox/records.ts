// The records of the outbox log, byte for byte in docs/outbox-format.md. Written by log.ts, read back
// by recovery.ts and by reads of sealed frames.
//
//   0        4        8      9
//   | crc32  | payload| type | payload …
//   | of 4.. | bytes  |      |
//
// The CRC starts from a value made of the segment and the offset (recordSeed), so that a record is
// valid only where it was written: a search for the next record after damage cannot be fooled by a
// copy of a record inside a frame's bytes or by the remains of an older file.
import { crc32 } from 'node:zlib'
import { ByteReader, ByteWriter } from '../codecs/bytes.ts'
import { MeshError } from '../errors.ts'
import { FRAME_BYTES_MAX } from '../frame.ts'
import { LANE_KEY_HEAD_BYTES, type LaneKey } from '../names.ts'
import type { Sample, Value } from '../sample.ts'

export const RECORD_HEAD_BYTES = 9

/**
 * sample: one accepted reading. seal: a frame's exact bytes and the samples it consumes. dead: frames
 * done, samples dropped. checkpoint: begins each segment with all that is live. Values that are rare
 * in text and in small integers, so that the search after damage rejects most offsets by one byte.
 */
export const RECORD_TYPES = { sample: 0xd1, seal: 0xd2, dead: 0xd3, checkpoint: 0xd4 } as const
export type RecordType = (typeof RECORD_TYPES)[keyof typeof RECORD_TYPES]

/** [first, last] pairs, flat, ascending. */
export type Runs = readonly number[]

export interface SampleInput {
  readonly stream: string
  readonly source: string
  readonly sample: Sample
}

export interface SampleRecord extends SampleInput {
  readonly ordinal: number
}

export interface SealRecord {
  readonly position: number
  readonly ordinals: Runs
  /** A view into the record. */
  readonly frame: Buffer
}

export interface DeadRecord {
  readonly positions: Runs
  readonly ordinals: Runs
}

export interface CheckpointRecord {
  readonly nextOrdinal: number
  readonly nextPosition: number
  readonly ordinals: Runs
  readonly positions: Runs
  /** Of the life that wrote it; '' when unknown. */
  readonly bootId: string
  readonly lanes: readonly LaneRecord[]
}

/** A lane in which something is left to do. */
export interface LaneRecord {
  readonly key: LaneKey
  readonly lastSequence: number
  readonly ended: boolean
  readonly uncertain: boolean
}

const LANE_ENDED = 1
const LANE_UNCERTAIN = 2

const FALSE = 0
const TRUE = 1
const FLOAT = 2
const INT = 3
const TEXT = 4
/** A text with a lone surrogate, which UTF-8 cannot hold. */
const TEXT_UTF16 = 5
/** Added to a value's tag when the field's name is UTF-16. */
const NAME_UTF16 = 0x80

/** Builds one or more records to be written with one write(2); reused from write to write. */
export class RecordWriter {
  private readonly out = new ByteWriter(1 << 16)

  /** Valid until the next record is added. */
  get bytes(): Buffer {
    return this.out.bytes
  }

  get length(): number {
    return this.out.at
  }

  reset(): void {
    this.out.at = 0
  }

  /** @throws MeshError MESH_SAMPLE_INVALID or MESH_FRAME_TOO_LARGE: then forget all with reset(). */
  sample(ordinal: number, { stream, source, sample }: SampleInput): void {
    const { out } = this
    const start = this.begin(RECORD_TYPES.sample)
    out.varint(ordinal)
    out.varint(checkTime(sample.timeUs))
    out.text(stream)
    out.text(source)
    const names = Object.keys(sample.fields)
    out.varint(names.length)
    for (const name of names) writeField(out, name, sample.fields[name])
    this.end(start)
    if (out.at - start > FRAME_BYTES_MAX) {
      throw new MeshError(
        'MESH_FRAME_TOO_LARGE',
        `sample of ${out.at - start} bytes exceeds ${FRAME_BYTES_MAX} (${stream} of ${source})`,
      )
    }
  }

  seal(position: number, ordinals: Runs, frame: Buffer): void {
    const { out } = this
    const start = this.begin(RECORD_TYPES.seal)
    out.varint(position)
    writeRuns(out, ordinals)
    out.ensure(frame.length)
    out.bytes.set(frame, out.at)
    out.at += frame.length
    this.end(start)
  }

  dead({ positions, ordinals }: DeadRecord): void {
    const start = this.begin(RECORD_TYPES.dead)
    writeRuns(this.out, positions)
    writeRuns(this.out, ordinals)
    this.end(start)
  }

  checkpoint(record: CheckpointRecord): void {
    const { out } = this
    const start = this.begin(RECORD_TYPES.checkpoint)
    out.varint(record.nextOrdinal)
    out.varint(record.nextPosition)
    writeRuns(out, record.ordinals)
    writeRuns(out, record.positions)
    out.text(record.bootId)
    out.varint(record.lanes.length)
    for (const lane of record.lanes) writeLane(out, lane)
    this.end(start)
  }

  /** Adds a whole record read from elsewhere; finish() gives it the CRC of its new place. */
  copy(record: Buffer): void {
    this.out.ensure(record.length)
    this.out.bytes.set(record, this.out.at)
    this.out.at += record.length
  }

  /** Bytes as they are, before the first record: the head of a segment. */
  raw(bytes: Uint8Array): void {
    this.out.ensure(bytes.length)
    this.out.bytes.set(bytes, this.out.at)
    this.out.at += bytes.length
  }

  /** Fills in the CRCs of the records from `at` on, for a write that begins at `offset`. */
  finish(segmentSeed: number, offset: number, at = 0): void {
    const { bytes } = this.out
    for (let start = at; start < this.out.at;) {
      const end = start + RECORD_HEAD_BYTES + bytes.readUInt32LE(start + 4)
      const seed = recordSeed(segmentSeed, offset + start)
      bytes.writeUInt32LE(crc32(bytes.subarray(start + 4, end), seed), start)
      start = end
    }
  }

  private begin(type: RecordType): number {
    const { out } = this
    out.ensure(RECORD_HEAD_BYTES)
    const start = out.at
    out.bytes[start + 8] = type
    out.at += RECORD_HEAD_BYTES
    return start
  }

  private end(start: number): void {
    this.out.bytes.writeUInt32LE(this.out.at - start - RECORD_HEAD_BYTES, start + 4)
  }
}

/** The end of the valid record at `at`, or 0 when there is none. `offset` is where `bytes` begins. */
export function recordEnd(bytes: Buffer, at: number, segmentSeed: number, offset = 0): number {
  if (at + RECORD_HEAD_BYTES > bytes.length) return 0
  const type = bytes[at + 8]!
  if (type < RECORD_TYPES.sample || type > RECORD_TYPES.checkpoint) return 0
  const end = at + RECORD_HEAD_BYTES + bytes.readUInt32LE(at + 4)
  if (end > bytes.length) return 0
  const crc = crc32(bytes.subarray(at + 4, end), recordSeed(segmentSeed, offset + at))
  return crc === bytes.readUInt32LE(at) ? end : 0
}

/** Where the last valid record ends (0 without one), and how many damaged places are before it. */
export interface Scan {
  readonly validEnd: number
  readonly damaged: number
}

/**
 * Whether the bytes from `at` on can be what a dying process leaves: the beginning of one record, cut
 * short. Bytes of another shape, or a whole record with one bad byte, were damaged or never synced.
 */
export function isCutWrite(bytes: Buffer, at: number, segmentSeed: number): boolean {
  const left = bytes.length - at
  if (left < RECORD_HEAD_BYTES) return true
  const type = bytes[at + 8]!
  if (type < RECORD_TYPES.sample || type > RECORD_TYPES.checkpoint) return false
  if (RECORD_HEAD_BYTES + bytes.readUInt32LE(at + 4) <= left) return false
  // Perhaps all of it is here, and only its length is damaged.
  const length = Buffer.alloc(4)
  length.writeUInt32LE(left - RECORD_HEAD_BYTES)
  const crc = crc32(bytes.subarray(at + 8), crc32(length, recordSeed(segmentSeed, at)))
  return crc !== bytes.readUInt32LE(at)
}

/**
 * Visits every valid record from `from` on; after a bad one it tries every offset for the next, which
 * is then visited with `isAfterDamage`.
 */
export function scanRecords(
  bytes: Buffer,
  from: number,
  segmentSeed: number,
  visit: (record: Buffer, at: number, isAfterDamage: boolean) => void,
): Scan {
  let validEnd = 0
  let damaged = 0
  let isSkipping = false
  for (let at = from; at < bytes.length;) {
    const end = recordEnd(bytes, at, segmentSeed)
    if (end === 0) {
      isSkipping = true
      at += 1
      continue
    }
    if (isSkipping) damaged += 1
    visit(bytes.subarray(at, end), at, isSkipping)
    isSkipping = false
    at = end
    validEnd = end
  }
  return { validEnd, damaged }
}

// The decoders take a whole record that recordEnd has found valid.

export function decodeSample(record: Buffer): SampleRecord {
  const input = payload(record)
  const ordinal = input.varint()
  const timeUs = input.varint()
  const stream = input.text()
  const source = input.text()
  const fields: Record<string, Value> = {}
  for (let left = input.varint(); left > 0; left--) {
    const tag = input.u8()
    const name = tag >= NAME_UTF16 ? readUtf16(input) : input.text()
    const value = readValue(input, tag & 0x7f)
    // Assigning to __proto__ would set the prototype instead of adding a field.
    if (name === '__proto__') Object.defineProperty(fields, name, { value, ...PLAIN })
    else fields[name] = value
  }
  return { ordinal, stream, source, sample: { timeUs, fields } }
}

/** The ordinal of a sample record, or the position of a seal record. */
export function decodeId(record: Buffer): number {
  return payload(record).varint()
}

export function decodeSeal(record: Buffer): SealRecord {
  const input = payload(record)
  const position = input.varint()
  const ordinals = readRuns(input)
  return { position, ordinals, frame: record.subarray(input.at) }
}

export function decodeDead(record: Buffer): DeadRecord {
  const input = payload(record)
  return { positions: readRuns(input), ordinals: readRuns(input) }
}

export function decodeCheckpoint(record: Buffer): CheckpointRecord {
  const input = payload(record)
  return {
    nextOrdinal: input.varint(),
    nextPosition: input.varint(),
    ordinals: readRuns(input),
    positions: readRuns(input),
    bootId: input.text(),
    lanes: readLanes(input),
  }
}

/** Collapses ascending, distinct numbers into runs. */
export function runsOf(ascending: Iterable<number>): number[] {
  const runs: number[] = []
  for (const n of ascending) {
    if (runs.length > 0 && runs[runs.length - 1]! + 1 === n) runs[runs.length - 1] = n
    else runs.push(n, n)
  }
  return runs
}

export function* eachOf(runs: Runs): IterableIterator<number> {
  for (let i = 0; i < runs.length; i += 2) {
    for (let n = runs[i]!; n <= runs[i + 1]!; n++) yield n
  }
}

/** Distinct for every offset of a segment: a record copied to another offset is not valid there. */
function recordSeed(segmentSeed: number, offset: number): number {
  return (segmentSeed ^ offset) >>> 0
}

const PLAIN = { enumerable: true, configurable: true, writable: true } as const

function payload(record: Buffer): ByteReader {
  const input = new ByteReader(record)
  input.at = RECORD_HEAD_BYTES
  return input
}

function checkTime(timeUs: number): number {
  if (Number.isSafeInteger(timeUs) && timeUs >= 0) return timeUs
  throw new MeshError('MESH_SAMPLE_INVALID', `time ${timeUs} is no whole number of microseconds`)
}

function writeField(out: ByteWriter, name: string, value: Value | undefined): void {
  if (!name.isWellFormed()) {
    writeTagged(out, NAME_UTF16, name, value)
  } else {
    writeTagged(out, 0, name, value)
  }
}

function writeTagged(out: ByteWriter, flag: number, name: string, value: Value | undefined): void {
  const tag = tagOf(name, value)
  out.u8(flag | tag)
  if (flag === 0) out.text(name)
  else writeUtf16(out, name)
  if (tag === INT) out.signed(value as number)
  else if (tag === FLOAT) out.f64(value as number)
  else if (tag === TEXT) out.text(value as string)
  else if (tag === TEXT_UTF16) writeUtf16(out, value as string)
}

/** Small integers as varint; every other number as its 64 bits, which hold integers to 2^53 too. */
function tagOf(name: string, value: Value | undefined): number {
  if (typeof value === 'number') {
    return (value | 0) === value && (value !== 0 || 1 / value > 0) ? INT : FLOAT
  }
  if (typeof value === 'boolean') return value ? TRUE : FALSE
  if (typeof value === 'string') return value.isWellFormed() ? TEXT : TEXT_UTF16
  throw new MeshError('MESH_SAMPLE_INVALID', `field ${JSON.stringify(name)} is ${typeof value}`)
}

function readValue(input: ByteReader, tag: number): Value {
  if (tag === FALSE) return false
  if (tag === TRUE) return true
  if (tag === FLOAT) return input.f64()
  if (tag === INT) return input.signed()
  return tag === TEXT ? input.text() : readUtf16(input)
}

function writeUtf16(out: ByteWriter, text: string): void {
  out.varint(text.length * 2)
  out.ensure(text.length * 2)
  out.at += out.bytes.write(text, out.at, 'utf16le')
}

function readUtf16(input: ByteReader): string {
  const size = input.varint()
  const start = input.skip(size)
  return input.bytes.toString('utf16le', start, start + size)
}

/** The key's bytes are those of the frame header, which say how long they are. */
function writeLane(out: ByteWriter, { key, lastSequence, ended, uncertain }: LaneRecord): void {
  out.ensure(key.length)
  out.at += out.bytes.write(key, out.at, 'latin1')
  out.varint(lastSequence)
  out.u8((ended ? LANE_ENDED : 0) | (uncertain ? LANE_UNCERTAIN : 0))
}

function readLanes(input: ByteReader): LaneRecord[] {
  const lanes: LaneRecord[] = []
  for (let left = input.varint(); left > 0; left--) {
    const start = input.skip(LANE_KEY_HEAD_BYTES)
    input.skip(input.bytes[start]! + input.bytes[start + 1]!)
    const key = input.bytes.toString('latin1', start, input.at) as LaneKey
    const lastSequence = input.varint()
    const flags = input.u8()
    const ended = (flags & LANE_ENDED) !== 0
    lanes.push({ key, lastSequence, ended, uncertain: (flags & LANE_UNCERTAIN) !== 0 })
  }
  return lanes
}

/** Count, then for each run its distance from the end of the one before, and its length less one. */
function writeRuns(out: ByteWriter, runs: Runs): void {
  out.varint(runs.length / 2)
  let last = 0
  for (let i = 0; i < runs.length; i += 2) {
    out.varint(runs[i]! - last)
    out.varint(runs[i + 1]! - runs[i]!)
    last = runs[i + 1]!
  }
}

function readRuns(input: ByteReader): number[] {
  const runs: number[] = []
  let last = 0
  for (let left = input.varint(); left > 0; left--) {
    const first = last + input.varint()
    last = first + input.varint()
    runs.push(first, last)
  }
  return runs
}
