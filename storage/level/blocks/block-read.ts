// Reading a block: which frames are in it and when their samples were measured, from its tables alone;
// then the samples of all its frames, decoded once, or one frame as it was before.
import { codecFor, encodeFrame, openFrame, parseLaneKey, readFrame } from '../../../mesh/index.ts'
import type { Frame, Lane, LaneKey, Sample, Schema, SchemaId } from '../../../mesh/index.ts'
import type { Cell } from '../../frame-store.ts'
import { type CheckGroup, checkGroups, checkOf } from './block-checks.ts'
import { type BlockFault, type BlockParts, splitBlock } from './block-format.ts'
import { cellCount, decodeCells } from './block-statistics.ts'
import { CHECK_TABLE, decodeRows, decodeTimes, FRAME_TABLE } from './block-tables.ts'

const columnar = codecFor('columnar')

/** What a block says of one of its frames without decoding samples. */
export interface BlockFrame {
  readonly sequence: number
  readonly kind: Frame['kind']
  readonly count: number
  /** µs since the Unix epoch, as in StoredFrame and FrameHeader. */
  readonly ingestUs: number
  readonly firstUs: number
  readonly lastUs: number
  /** Length of the frame; for small ones, which share a check, the mean of those, rounded up. */
  readonly bytes: number
  /** CRC-32 of the frame; undefined for small ones, which blockFrame knows. */
  readonly crc: number | undefined
  /** Which of the block's checks covers it; -1 when verbatim. */
  readonly check: number
  /** The frame as it came, when it is not kept as columns: a view into the block. */
  readonly verbatim: Frame | undefined
  /** Where its samples begin among blockSamples; -1 when verbatim. */
  readonly sampleAt: number
}

/** A block whose CRC, lengths and tables have been checked; what it hands out are views, not copies. */
export interface Block extends Lane {
  readonly laneKey: LaneKey
  /** Of the frames that are kept as columns; NO_SCHEMA when there are none. */
  readonly schemaId: SchemaId
  /** By sequence ascending. */
  readonly frames: readonly BlockFrame[]
  /** Least and greatest event time of the frames, µs since the Unix epoch. */
  readonly firstUs: number
  readonly lastUs: number
  /** Samples kept as columns: what blockSamples returns. */
  readonly samples: number
  /** Seconds of event time in a cell of its statistics; 0 when it has none. */
  readonly cellSeconds: number
  /** For the functions below. */
  readonly inside: Inside
}

interface Inside {
  readonly parts: BlockParts
  /** Event times of the samples. */
  readonly times: Float64Array
  /** The frames kept as columns, which share checks, and those checks. */
  readonly rebuilt: readonly BlockFrame[]
  readonly groups: readonly CheckGroup[]
  readonly checks: readonly number[]
  /** Which check was made last, and its frames: frames are read one after another. */
  checked: number
  checkedFrames: readonly Frame[]
  decoded: readonly Sample[] | undefined
}

/**
 * Reads the tables of a block in place: `bytes` must hold exactly one. Never throws on bad bytes; a
 * string says what is wrong. Cost: one CRC pass, and the times; no other value is decoded.
 */
export function readBlock(bytes: Buffer): Block | BlockFault {
  const parts = splitBlock(bytes)
  if (typeof parts === 'string') return parts
  const rows = decodeRows(parts.table, parts.frames, FRAME_TABLE)
  const times = decodeTimes(parts.times, parts.samples)
  if (rows === undefined || times === undefined || rows.length === 0) return 'field'
  const counts = rows.flatMap(({ fields }) => (fields['count'] as number | undefined) ?? [])
  const groups = checkGroups(counts)
  const checkRows = decodeRows(parts.checks, groups.length, CHECK_TABLE)
  if (checkRows === undefined) return 'field'
  const frames = readFrames(parts, rows, times, checkedOf(groups, checkRows))
  if (typeof frames === 'string') return frames
  return {
    ...parseLaneKey(parts.laneKey),
    laneKey: parts.laneKey,
    schemaId: parts.schemaId,
    frames,
    firstUs: frames.reduce((least, { firstUs }) => Math.min(least, firstUs), Infinity),
    lastUs: frames.reduce((most, { lastUs }) => Math.max(most, lastUs), 0),
    samples: parts.samples,
    cellSeconds: parts.cellSeconds,
    inside: {
      parts,
      times,
      rebuilt: frames.filter(({ verbatim }) => verbatim === undefined),
      groups,
      checks: checkRows.map(({ fields }) => fields['check'] as number),
      checked: -1,
      checkedFrames: [],
      decoded: undefined,
    },
  }
}

type Checked = Pick<BlockFrame, 'bytes' | 'crc' | 'check'>

/** What the checks say of each frame kept as columns. */
function checkedOf(groups: readonly CheckGroup[], checks: readonly Sample[]): Checked[] {
  return groups.flatMap(({ from, to }, check) => {
    const size = to - from
    const { timeUs, fields } = checks[check]!
    const crc = size === 1 ? (fields['check'] as number) : undefined
    return Array.from({ length: size }, () => ({ bytes: Math.ceil(timeUs / size), crc, check }))
  })
}

function readFrames(
  parts: BlockParts,
  rows: readonly Sample[],
  times: Float64Array,
  checked: readonly Checked[],
): BlockFrame[] | BlockFault {
  const frames: BlockFrame[] = []
  let sampleAt = 0
  let verbatimAt = 0
  let rebuilt = 0
  for (const { timeUs: sequence, fields } of rows) {
    const { bytes = 0, count, delay } = fields as Record<string, number | undefined>
    if (delay === undefined) return 'field'
    if (count === undefined) {
      const frame = readFrame(parts.verbatim.subarray(verbatimAt, (verbatimAt += bytes)))
      if (typeof frame === 'string') return frame
      if (frame.laneKey !== parts.laneKey || frame.sequence !== sequence) return 'field'
      frames.push(verbatimFrame(frame, delay))
    } else {
      const own = times.subarray(sampleAt, sampleAt + count)
      if (count === 0 || own.length !== count) return 'field'
      frames.push(columnFrame(sequence, own, delay, sampleAt, checked[rebuilt++]!))
      sampleAt += count
    }
  }
  const isWhole = sampleAt === times.length && verbatimAt === parts.verbatim.length
  return isWhole ? frames : 'length'
}

function verbatimFrame(frame: Frame, delay: number): BlockFrame {
  const { sequence, kind, count, firstUs, lastUs, crc } = frame
  return {
    sequence,
    kind,
    count,
    ingestUs: lastUs + delay,
    firstUs,
    lastUs,
    bytes: frame.bytes.length,
    crc,
    check: -1,
    verbatim: frame,
    sampleAt: -1,
  }
}

function columnFrame(
  sequence: number,
  times: Float64Array,
  delay: number,
  sampleAt: number,
  checked: Checked,
): BlockFrame {
  let firstUs = times[0]!
  let lastUs = firstUs
  for (const timeUs of times) {
    if (timeUs < firstUs) firstUs = timeUs
    if (timeUs > lastUs) lastUs = timeUs
  }
  return {
    ...checked,
    sequence,
    kind: 'data',
    count: times.length,
    ingestUs: lastUs + delay,
    firstUs,
    lastUs,
    verbatim: undefined,
    sampleAt,
  }
}

/**
 * The samples of all frames kept as columns, by sequence, decoded once; undefined when the columns do
 * not hold them. Those of a frame are the `count` from `sampleAt` on.
 * @throws RangeError when the schema is not the block's.
 */
export function blockSamples(
  block: Block,
  schema: Schema | undefined,
): readonly Sample[] | undefined {
  const { inside, samples } = block
  if (inside.decoded !== undefined || samples === 0) return inside.decoded ?? []
  checkSchema(block, schema)
  const rows: { timeUs: number }[] | undefined = decodeRows(inside.parts.columns, samples, schema)
  for (const [i, row] of rows?.entries() ?? []) row.timeUs = inside.times[i]!
  inside.decoded = rows as Sample[] | undefined
  return inside.decoded
}

/** The block's statistics, new objects with each call; undefined when it has none. */
export function blockStatistics(block: Block, schema: Schema): Cell[] | undefined {
  const { cellSeconds, inside } = block
  if (cellSeconds === 0) return undefined
  checkSchema(block, schema)
  const count = cellCount(inside.times, cellSeconds * 1e6)
  return decodeCells(inside.parts.statistics, cellSeconds, count, schema)
}

/**
 * The `i`-th frame as it was before it came into the block, byte for byte; a string says why it cannot
 * be had. A verbatim frame needs no schema. Cost: decoding the block, once; then encoding the frame,
 * or the small ones that share its check, once as long as they are read one after another.
 * @throws RangeError when the schema is not the block's.
 */
export function blockFrame(block: Block, i: number, schema: Schema | undefined): Frame | string {
  const { verbatim, check } = block.frames[i]!
  if (verbatim !== undefined) return verbatim
  const { inside } = block
  const { from, to } = inside.groups[check]!
  if (inside.checked !== check) {
    const samples = blockSamples(block, schema)
    if (samples === undefined) return 'columns'
    const frames = inside.rebuilt
      .slice(from, to)
      .map((frame) => openFrame(wrapBody(block, frame, frameBody(frame, samples, schema!))))
    if (checkOf(frames.map(({ crc }) => crc)) !== inside.checks[check]) return 'crc'
    inside.checked = check
    inside.checkedFrames = frames
  }
  return inside.checkedFrames.find(({ sequence }) => sequence === block.frames[i]!.sequence)!
}

/** What our encoder makes of a frame's samples, unchecked; the bytes are the codec's. */
export function frameBody(
  { sampleAt, count }: BlockFrame,
  samples: readonly Sample[],
  schema: Schema,
): Uint8Array {
  return columnar.encode(samples.slice(sampleAt, sampleAt + count), schema)
}

/** The frame of that body. */
export function wrapBody(block: Block, frame: BlockFrame, body: Uint8Array): Buffer {
  const { source, stream, epoch, laneKey, schemaId } = block
  const { sequence, kind, count, firstUs, lastUs } = frame
  const name = { source, stream, epoch, sequence, schemaId }
  return encodeFrame({ ...name, kind, codec: 'columnar', firstUs, lastUs, count }, body, laneKey)
}

function checkSchema(block: Block, schema: Schema | undefined): asserts schema is Schema {
  if (schema?.id === block.schemaId) return
  throw new RangeError(`schema ${schema?.id} is not that of the block, ${block.schemaId}`)
}
