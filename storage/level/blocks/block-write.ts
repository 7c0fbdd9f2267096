// Making a block of the frames of one lane. A frame is kept as columns only where that gives the frame
// back: the finished block is read again and every frame compared with what came in.
import assert from 'node:assert/strict'
import { codecFor, MeshError, NO_SCHEMA } from '../../../mesh/index.ts'
import type { Frame, Sample, Schema, SchemaId, Value } from '../../../mesh/index.ts'
import type { StoredFrame } from '../../frame-store.ts'
import { checkGroups, checkOf } from './block-checks.ts'
import { BLOCK_ROWS_MAX, joinBlock } from './block-format.ts'
import { blockSamples, frameBody, readBlock, wrapBody } from './block-read.ts'
import { cellsOf, encodeCells } from './block-statistics.ts'
import { CHECK_TABLE, encodeRows, FRAME_TABLE, TIME_TABLE } from './block-tables.ts'

/** What the columnar codec takes in one body: samples times fields. */
const CELLS_MAX = 1 << 21

/** Heads and tables of a block of a few frames. */
const SMALL_BYTES = 512

const columnar = codecFor('columnar')

/** A frame with its samples, when it may be kept as columns. */
interface Candidate extends StoredFrame {
  readonly samples: readonly Sample[] | undefined
}

/**
 * The block of these frames: of one lane, by sequence ascending, at least one and at most 65,536. The
 * schema of the first that can be kept as columns becomes the block's; frames of another are kept
 * verbatim, as are all that columns would not give back. The bytes are the caller's.
 * @throws RangeError when the frames are not so.
 */
export function encodeBlock(
  frames: readonly StoredFrame[],
  schemaOf: (id: SchemaId) => Schema | undefined,
): Buffer {
  checkFrames(frames)
  const schema = blockSchema(frames, schemaOf)
  let candidates = candidatesOf(frames, schema)
  for (const isLast of [false, true]) {
    const bytes = writeBlock(candidates, schema)
    const same = sameFrames(bytes, candidates, schema)
    if (!same.includes(false)) return smaller(bytes, candidates)
    // Fields the schema does not name come in the order in which the block meets them, and leaving a
    // frame out may change it: at last only frames without such fields stay, which it cannot touch.
    candidates = candidates.map((each, i) =>
      same[i]! && !(isLast && hasOtherFields(each, schema!))
        ? each
        : { ...each, samples: undefined },
    )
  }
  const bytes = writeBlock(candidates, schema)
  assert(
    !sameFrames(bytes, candidates, schema).includes(false),
    'a block does not give back its frames',
  )
  return bytes
}

/** Columns with much between them that is verbatim may take more room than all of it verbatim. */
function smaller(bytes: Buffer, candidates: readonly Candidate[]): Buffer {
  const frameBytes = candidates.reduce((sum, { frame }) => sum + frame.bytes.length, 0)
  if (bytes.length <= frameBytes + SMALL_BYTES) return bytes
  return writeBlock(
    candidates.map((each) => ({ ...each, samples: undefined })),
    undefined,
  )
}

function hasOtherFields({ samples = [] }: Candidate, schema: Schema): boolean {
  const named = new Set(schema.fields)
  return samples.some(({ fields }) => Object.keys(fields).some((name) => !named.has(name)))
}

function checkFrames(frames: readonly StoredFrame[]): void {
  if (frames.length === 0 || frames.length > BLOCK_ROWS_MAX) {
    throw new RangeError(`${frames.length} frames are not in 1..${BLOCK_ROWS_MAX}`)
  }
  for (let i = 1; i < frames.length; i++) {
    const [{ frame: before }, { frame }] = [frames[i - 1]!, frames[i]!]
    if (frame.laneKey !== before.laneKey) throw new RangeError('frames of several lanes')
    if (frame.sequence <= before.sequence) throw new RangeError('frames out of sequence')
  }
}

function blockSchema(
  frames: readonly StoredFrame[],
  schemaOf: (id: SchemaId) => Schema | undefined,
): Schema | undefined {
  for (const { frame } of frames) {
    const schema = isPlainColumnar(frame) ? schemaOf(frame.schemaId) : undefined
    if (schema !== undefined) return schema
  }
  return undefined
}

/** The first byte of a columnar body says whether it is compressed: those our encoder does not rebuild. */
function isPlainColumnar({ kind, codec, count, body }: Frame): boolean {
  return kind === 'data' && codec === 'columnar' && count > 0 && body[0] === 0
}

/** Decodes what may become columns, up to what one columnar body holds. */
function candidatesOf(frames: readonly StoredFrame[], schema: Schema | undefined): Candidate[] {
  const names = new Set<string>()
  let rows = 0
  return frames.map(({ frame, ingestUs }) => {
    const verbatim = { frame, ingestUs, samples: undefined }
    if (schema === undefined || frame.schemaId !== schema.id) return verbatim
    if (!isPlainColumnar(frame) || rows + frame.count > BLOCK_ROWS_MAX) return verbatim
    const samples = decodeSamples(frame, schema)
    if (samples === undefined) return verbatim
    if (!isSpanOf(frame, samples)) return verbatim
    for (const { fields } of samples) for (const name in fields) names.add(name)
    if ((rows + samples.length) * names.size > CELLS_MAX) return verbatim
    rows += samples.length
    return { frame, ingestUs, samples }
  })
}

/** Undefined when the body is not what its frame says: stores never looked. */
function decodeSamples({ body, count }: Frame, schema: Schema): Sample[] | undefined {
  try {
    const samples = columnar.decode(body, count, schema)
    for (const { fields } of samples) unifyNaN(fields)
    return samples
  } catch (error) {
    if (error instanceof MeshError && error.code === 'MESH_BODY_CORRUPT') return undefined
    throw error
  }
}

/** A block knows a frame's first and last event time from its samples alone. */
function isSpanOf({ firstUs, lastUs }: Frame, samples: readonly Sample[]): boolean {
  const least = samples.reduce((least, { timeUs }) => Math.min(least, timeUs), Infinity)
  const greatest = samples.reduce((most, { timeUs }) => Math.max(most, timeUs), 0)
  return least === firstUs && greatest === lastUs
}

/**
 * A NaN may come with any payload, which JavaScript keeps or drops as it likes: a frame with another
 * than its own must show as not the same now, not when it is read some day.
 */
function unifyNaN(fields: Record<string, Value>): void {
  for (const name in fields) if (Number.isNaN(fields[name])) fields[name] = NaN
}

function writeBlock(candidates: readonly Candidate[], schema: Schema | undefined): Buffer {
  const rebuilt = candidates.filter(({ samples }) => samples !== undefined)
  const verbatim = candidates.filter(({ samples }) => samples === undefined)
  const samples = rebuilt.flatMap(({ samples }) => samples ?? [])
  const hasAll = verbatim.every(({ frame }) => frame.kind !== 'data')
  const cells = hasAll ? cellsOf(samples) : undefined
  const columnSchema = schema ?? TIME_TABLE
  return joinBlock({
    laneKey: candidates[0]!.frame.laneKey,
    schemaId: samples.length > 0 ? columnSchema.id : NO_SCHEMA,
    frames: candidates.length,
    samples: samples.length,
    cellSeconds: cells === undefined ? 0 : cells[0]!.stepUs / 1e6,
    table: encodeRows(candidates.map(frameRow), FRAME_TABLE),
    checks: encodeRows(checkRows(rebuilt), CHECK_TABLE),
    times: encodeRows(
      samples.map(({ timeUs }) => ({ timeUs, fields: {} })),
      TIME_TABLE,
    ),
    columns: encodeRows(
      samples.map(({ fields }) => ({ timeUs: 0, fields })),
      columnSchema,
    ),
    statistics: cells === undefined ? Buffer.alloc(0) : encodeCells(cells, columnSchema),
    verbatim: Buffer.concat(verbatim.map(({ frame }) => frame.bytes)),
  })
}

function frameRow({ frame, ingestUs, samples }: Candidate): Sample {
  const delay = ingestUs - frame.lastUs
  const timeUs = frame.sequence
  if (samples === undefined) return { timeUs, fields: { delay, bytes: frame.bytes.length } }
  return { timeUs, fields: { delay, count: frame.count } }
}

function checkRows(rebuilt: readonly Candidate[]): Sample[] {
  return checkGroups(rebuilt.map(({ frame }) => frame.count)).map(({ from, to }) => {
    const frames = rebuilt.slice(from, to).map(({ frame }) => frame)
    const bytes = frames.reduce((sum, frame) => sum + frame.bytes.length, 0)
    return { timeUs: bytes, fields: { check: checkOf(frames.map(({ crc }) => crc)) } }
  })
}

/** For each frame whether the block gives it back as it was. */
function sameFrames(
  bytes: Buffer,
  candidates: readonly Candidate[],
  schema: Schema | undefined,
): boolean[] {
  const block = readBlock(bytes)
  if (typeof block === 'string') assert.fail(`a block just made is none: ${block}`)
  const samples = blockSamples(block, schema) ?? []
  return block.frames.map((each, i) => {
    const { frame, ingestUs } = candidates[i]!
    if (each.ingestUs !== ingestUs) return false
    if (each.verbatim !== undefined) return each.verbatim.bytes.equals(frame.bytes)
    const body = frameBody(each, samples, schema!)
    return frame.body.equals(body) && wrapBody(block, each, body).equals(frame.bytes)
  })
}
