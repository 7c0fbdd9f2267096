// The outermost bytes of a block (docs/storage-format.md, "Blocks"): a header, the lane, then the
// sections one after another. What is in the sections is known by block-read.ts and block-write.ts.
//
//   "SKB" 1 | crc32 | bytes | frames | samples | schema | five section lengths | cell | lane
//   table | checks | times | columns | statistics | verbatim frames to the end
import { crc32 } from 'node:zlib'
import type { LaneKey, SchemaId } from '../../../mesh/index.ts'

const HEADER_BYTES = 52
/** "SKB" and the version, read as one little-endian number. */
const MAGIC = 0x01424b53
/** A lane key begins with its two name lengths and the epoch. */
const LANE_HEAD_BYTES = 10
const SECTIONS_AT = 28
const CELL_AT = 48
/** Every table is a columnar body, and those have at most this many rows. */
export const BLOCK_ROWS_MAX = 65_536

/** Why bytes are not a block. */
export type BlockFault = 'short' | 'magic' | 'length' | 'crc' | 'field'

export interface BlockParts {
  readonly laneKey: LaneKey
  /** Of the frames that are kept as columns; NO_SCHEMA when there are none. */
  readonly schemaId: SchemaId
  readonly frames: number
  /** Samples of the frames that are kept as columns. */
  readonly samples: number
  /** Seconds of event time in a cell of the statistics; 0 when there are none. */
  readonly cellSeconds: number
  readonly table: Buffer
  readonly checks: Buffer
  readonly times: Buffer
  readonly columns: Buffer
  readonly statistics: Buffer
  readonly verbatim: Buffer
}

export function joinBlock(parts: BlockParts): Buffer {
  const { table, checks, times, columns, statistics, verbatim } = parts
  const sized = [table, checks, times, columns, statistics]
  const header = Buffer.alloc(HEADER_BYTES)
  const lane = Buffer.from(parts.laneKey, 'latin1')
  const bytes = Buffer.concat([header, lane, ...sized, verbatim])
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt32LE(bytes.length, 8)
  bytes.writeUInt32LE(parts.frames, 12)
  bytes.writeUInt32LE(parts.samples, 16)
  bytes.write(parts.schemaId, 20, 'hex')
  for (const [i, { length }] of sized.entries()) bytes.writeUInt32LE(length, SECTIONS_AT + i * 4)
  bytes.writeUInt32LE(parts.cellSeconds, CELL_AT)
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
  return bytes
}

/** The sections as views. `bytes` must hold exactly one block. Cost: one CRC pass. */
export function splitBlock(bytes: Buffer): BlockParts | BlockFault {
  if (bytes.length < HEADER_BYTES + LANE_HEAD_BYTES) return 'short'
  if (bytes.readUInt32LE(0) !== MAGIC) return 'magic'
  if (bytes.readUInt32LE(8) !== bytes.length) return 'length'
  if (crc32(bytes.subarray(8)) !== bytes.readUInt32LE(4)) return 'crc'
  let at = HEADER_BYTES + LANE_HEAD_BYTES + bytes[HEADER_BYTES]! + bytes[HEADER_BYTES + 1]!
  const laneKey = bytes.toString('latin1', HEADER_BYTES, at) as LaneKey
  const [table, checks, times, columns, statistics] = [0, 1, 2, 3, 4].map((i) => {
    const from = at
    at += bytes.readUInt32LE(SECTIONS_AT + i * 4)
    return bytes.subarray(from, at)
  }) as [Buffer, Buffer, Buffer, Buffer, Buffer]
  if (at > bytes.length) return 'length'
  const frames = bytes.readUInt32LE(12)
  const samples = bytes.readUInt32LE(16)
  if (frames > BLOCK_ROWS_MAX || samples > BLOCK_ROWS_MAX) return 'field'
  return {
    laneKey,
    schemaId: bytes.toString('hex', 20, 28) as SchemaId,
    frames,
    samples,
    cellSeconds: bytes.readUInt32LE(CELL_AT),
    table,
    checks,
    times,
    columns,
    statistics,
    verbatim: bytes.subarray(at),
  }
}
