// The frame: the unit that is sent, acknowledged, stored, repaired and queried. Byte for byte in
// docs/wire-format.md, with golden vectors in mesh/vectors/. Publishers encode frames; stores read
// the header and keep the bytes as they came; only readers of samples decode a body.
//
//   0        4        8        12       16       24       32       40       48   52     60
//   | SKF 1  | crc32  | body   | count  | seq    | first  | last   | schema | .. | epoch | source stream body
//   | magic  | of 8.. | bytes  |        | u64    | µs u64 | µs u64 | 8 bytes|    | 8 B   |
//                                                              codec, kind, two name lengths
import { isUtf8 } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { MeshError } from './errors.ts'
import { LANE_KEY_HEAD_BYTES, laneKey, parseLaneKey, STREAM_NAME } from './names.ts'
import type { Lane, LaneKey, SchemaId } from './names.ts'

export const FRAME_HEADER_BYTES = 60
/** From here to the body: the bytes that are the same in all frames of a lane, its key. */
const LANE_AT = FRAME_HEADER_BYTES - LANE_KEY_HEAD_BYTES
const SEQUENCE_AT = 16
const KIND_AT = 49
/** Largest frame, header and names included. */
export const FRAME_BYTES_MAX = 1 << 20
export const FRAME_SAMPLES_MAX = 65_536
/** Longest span of event time in one frame: a range scan starts this much early (10 minutes). */
export const FRAME_SPAN_US_MAX = 600_000_000

/** "SKF" and the version, read as one little-endian number. */
const MAGIC = 0x01464b53
/** What fits the 48 bits of a sequence in an ack: a frame a microsecond for nine years. */
const SEQUENCE_MAX = 2 ** 48 - 1

/** How the body is encoded; `none` for kinds that carry no samples. */
export const CODECS = ['none', 'columnar', 'msgpack', 'json', 'protobuf'] as const
export type CodecName = (typeof CODECS)[number]

/**
 * data: samples. skip: lists runs of this lane that their publisher dropped. end: the lane is closed,
 * nothing follows this sequence. schema: a JSON Schema.
 */
export const FRAME_KINDS = ['data', 'skip', 'end', 'schema'] as const
export type FrameKind = (typeof FRAME_KINDS)[number]
const END_KIND = FRAME_KINDS.indexOf('end')

export interface FrameHeader extends Lane {
  readonly kind: FrameKind
  readonly codec: CodecName
  /** Dense from 1 within its lane. */
  readonly sequence: number
  /** Least and greatest event time of its samples, µs since the Unix epoch. */
  readonly firstUs: number
  readonly lastUs: number
  /** Number of samples; for a skip frame, of samples dropped where that is known. */
  readonly count: number
  readonly schemaId: SchemaId
}

/** A frame whose CRC and lengths have been checked; `bytes` and `body` are views, not copies. */
export interface Frame extends FrameHeader {
  readonly bytes: Buffer
  readonly body: Buffer
  readonly crc: number
  readonly laneKey: LaneKey
}

/** Why bytes are not a frame. Network garbage is counted under these, never thrown. */
export type FrameFault = 'short' | 'magic' | 'length' | 'crc' | 'field'

/** The schema id of frames that have none (skip, end). */
export const NO_SCHEMA = '0000000000000000' as SchemaId

/** Names that were read and checked already: a lane sends many frames. Emptied when full: some 3 MB. */
const knownLanes = new Map<LaneKey, Lane>()
const KNOWN_LANES_MAX = 16_384

const allocateFrame = (size: number): Buffer => Buffer.allocUnsafe(size)

/**
 * Encodes one frame. Whoever sends many of a lane passes its `key`, which saves encoding the names.
 * @throws RangeError when a field cannot stand in a frame.
 * @throws MeshError MESH_FRAME_TOO_LARGE when header and body exceed FRAME_BYTES_MAX.
 */
export function encodeFrame(
  header: FrameHeader,
  body: Uint8Array,
  key: LaneKey = laneKey(header.source, header.stream, header.epoch),
  allocate = allocateFrame,
): Buffer {
  checkHeader(header)
  const bodyAt = LANE_AT + key.length
  const size = bodyAt + body.length
  if (size > FRAME_BYTES_MAX) {
    throw new MeshError(
      'MESH_FRAME_TOO_LARGE',
      `frame of ${size} bytes exceeds ${FRAME_BYTES_MAX} (${header.stream} of ${header.source})`,
    )
  }
  const bytes = allocate(size)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt32LE(body.length, 8)
  bytes.writeUInt32LE(header.count, 12)
  writeU64(bytes, SEQUENCE_AT, header.sequence)
  writeU64(bytes, 24, header.firstUs)
  writeU64(bytes, 32, header.lastUs)
  writeId(bytes, 40, header.schemaId)
  bytes[48] = CODECS.indexOf(header.codec)
  bytes[KIND_AT] = FRAME_KINDS.indexOf(header.kind)
  bytes.write(key, LANE_AT, 'latin1')
  bytes.set(body, bodyAt)
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
  return bytes
}

/**
 * Reads one frame in place: `bytes` must hold exactly one. Never throws on bad bytes.
 * Cost: one CRC pass (about 1.7 GB/s) and the header.
 */
export function readFrame(bytes: Buffer): Frame | FrameFault {
  if (bytes.length < FRAME_HEADER_BYTES) return 'short'
  if (bytes.readUInt32LE(0) !== MAGIC) return 'magic'
  const sourceEnd = FRAME_HEADER_BYTES + bytes[50]!
  const bodyAt = sourceEnd + bytes[51]!
  if (bytes.length > FRAME_BYTES_MAX) return 'length'
  if (bodyAt + bytes.readUInt32LE(8) !== bytes.length) return 'length'
  const crc = bytes.readUInt32LE(4)
  if (crc32(bytes.subarray(8)) !== crc) return 'crc'
  const codec = CODECS[bytes[48]!]
  const kind = FRAME_KINDS[bytes[KIND_AT]!]
  const count = bytes.readUInt32LE(12)
  const sequence = readU64(bytes, SEQUENCE_AT)
  const firstUs = readU64(bytes, 24)
  const lastUs = readU64(bytes, 32)
  if (codec === undefined || kind === undefined) return 'field'
  if (count > FRAME_SAMPLES_MAX) return 'field'
  if (sequence < 1 || sequence > SEQUENCE_MAX || firstUs > lastUs) return 'field'
  if (lastUs > Number.MAX_SAFE_INTEGER || lastUs - firstUs > FRAME_SPAN_US_MAX) return 'field'
  const key = bytes.toString('latin1', LANE_AT, bodyAt) as LaneKey
  const lane = knownLanes.get(key) ?? readLane(key, bytes.subarray(FRAME_HEADER_BYTES, sourceEnd))
  if (lane === undefined) return 'field'
  return {
    kind,
    codec,
    sequence,
    firstUs,
    lastUs,
    count,
    schemaId: bytes.toString('hex', 40, 48) as SchemaId,
    source: lane.source,
    stream: lane.stream,
    epoch: lane.epoch,
    laneKey: key,
    bytes,
    body: bytes.subarray(bodyAt),
    crc,
  }
}

/** What a frame's header says of its name. */
export interface FrameName {
  readonly key: LaneKey
  readonly sequence: number
  readonly isEnd: boolean
}

/** The name in a frame's header; the frame is not checked. @throws RangeError when it is too short. */
export function frameName(frame: Buffer): FrameName {
  if (frame.length < FRAME_HEADER_BYTES) throw new RangeError(`${frame.length} bytes are no frame`)
  const laneEnd = FRAME_HEADER_BYTES + frame[LANE_AT]! + frame[LANE_AT + 1]!
  return {
    key: frame.toString('latin1', LANE_AT, laneEnd) as LaneKey,
    sequence: readU64(frame, SEQUENCE_AT),
    isEnd: frame[KIND_AT] === END_KIND,
  }
}

/** As readFrame, for bytes of our own disk or of a test, where a fault is an error. */
export function openFrame(bytes: Buffer): Frame {
  const frame = readFrame(bytes)
  if (typeof frame === 'string') {
    throw new MeshError('MESH_FRAME_CORRUPT', `bytes are not a frame: ${frame}`, {
      details: { fault: frame, bytes: bytes.length },
    })
  }
  return frame
}

/** Undefined when the names cannot stand in a frame. */
function readLane(key: LaneKey, sourceBytes: Buffer): Lane | undefined {
  const lane = parseLaneKey(key)
  if (sourceBytes.length === 0 || !isUtf8(sourceBytes) || !STREAM_NAME.test(lane.stream)) {
    return undefined
  }
  if (knownLanes.size >= KNOWN_LANES_MAX) knownLanes.clear()
  knownLanes.set(key, lane)
  return lane
}

function checkHeader(header: FrameHeader): void {
  const { sequence, firstUs, lastUs, count } = header
  if (!Number.isSafeInteger(sequence) || sequence < 1 || sequence > SEQUENCE_MAX) {
    throw new RangeError(`sequence ${sequence} is not in 1..${SEQUENCE_MAX}`)
  }
  if (!Number.isSafeInteger(firstUs) || !Number.isSafeInteger(lastUs) || firstUs < 0) {
    throw new RangeError(`event times ${firstUs}..${lastUs} are not non-negative safe integers`)
  }
  if (lastUs < firstUs || lastUs - firstUs > FRAME_SPAN_US_MAX) {
    throw new RangeError(`event time span ${lastUs - firstUs} µs is not in 0..${FRAME_SPAN_US_MAX}`)
  }
  if (!Number.isInteger(count) || count < 0 || count > FRAME_SAMPLES_MAX) {
    throw new RangeError(`sample count ${count} is not in 0..${FRAME_SAMPLES_MAX}`)
  }
}

/** Writes 16 hex digits. Anything else would leave bytes of memory we do not own in the frame. */
function writeId(bytes: Buffer, offset: number, id: SchemaId): void {
  if (id.length !== 16 || bytes.write(id, offset, 8, 'hex') !== 8) {
    throw new RangeError(`schema id ${JSON.stringify(id)} is not 16 hex digits`)
  }
}

/** Little-endian unsigned 64 bits as a number; exact to 2^53, larger values round up and are refused. */
export function readU64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * 0x1_0000_0000
}

export function writeU64(bytes: Buffer, offset: number, value: number): void {
  bytes.writeUInt32LE(value % 0x1_0000_0000, offset)
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), offset + 4)
}
