// A recorded file as the frames of one replay: read, mapped, cut and paced, under an epoch that is
// always the same for the same file, mapping and codec. The caller numbers the frames of each source
// by their index, encodes and publishes them; nothing here knows a network or a clock.
//
//   file ─► readRows ─► Cutter ─► (Spool, for recorded order) ─► Pace ─► ReplayFrame
//              └──────► RowRefusal, as it is met
import type { CodecName, Epoch } from '../../mesh/index.ts'
import { SimError } from '../errors.ts'
import { Cutter, type CutFrame } from './cut.ts'
import { replayEpoch } from './identity.ts'
import { mappingSchema, type Mapping } from './mapping.ts'
import { Pace } from './pace.ts'
import { hashFile, readRows } from './read.ts'
import type { RowRefusal, RowSample } from './rows.ts'
import { Spool } from './spool.ts'

export interface ReplayOptions {
  readonly file: string
  readonly mapping: Mapping
  readonly codec: CodecName
  /** Throw at the first refused row; frames not complete by then never leave. */
  readonly strict?: boolean
  /** Random bytes that make this a new replay of the same file, under an epoch of its own. */
  readonly salt?: Uint8Array
  /**
   * `file` (default): frames leave as the file completes them. `recorded`: all of the file is read
   * first, and frames leave by recorded time, as pacing needs where a file is grouped by source.
   */
  readonly order?: 'file' | 'recorded'
  readonly samplesMax?: number
  /** Where `recorded` keeps its temporary file (default: the system's). */
  readonly spoolFolder?: string
}

export interface ReplayFrame extends CutFrame {
  readonly kind: 'frame'
  /** Recorded microseconds since the start of the replay; see dueMs. */
  readonly offsetUs: number
}

/** What has been read so far; final once the iteration has ended. */
export interface ReplayCounts {
  rows: number
  samples: number
  frames: number
  refused: number
  /** Refusals by column and fault, such as `speed: not a number`. */
  readonly refusedBy: Record<string, number>
  sources: number
  /** Least and greatest recorded time of all samples. */
  firstUs: number | undefined
  lastUs: number | undefined
}

/** One replay; iterate it once. */
export interface Replay extends AsyncIterable<ReplayFrame | RowRefusal> {
  readonly epoch: Epoch
  readonly stream: string
  /** JSON Schema of the stream. */
  readonly schema: Readonly<Record<string, unknown>>
  readonly counts: Readonly<ReplayCounts>
}

/**
 * Prepares a replay: reads the file once for its hash.
 * Iterating throws SimError SIM_FILE_FORMAT when the file as a whole cannot be read, SIM_FILE_CHANGED
 * when it is no longer the file that was hashed, SIM_ROW_REFUSED when strict.
 * @throws SimError SIM_FILE_NOT_FOUND.
 */
export async function replayFile(options: ReplayOptions): Promise<Replay> {
  const { mapping, codec, samplesMax, salt } = options
  const fileHash = await hashFile(options.file)
  const counts: ReplayCounts = {
    rows: 0,
    samples: 0,
    frames: 0,
    refused: 0,
    refusedBy: {},
    sources: 0,
    firstUs: undefined,
    lastUs: undefined,
  }
  const items = options.order === 'recorded' ? recordedOrder : fileOrder
  return {
    epoch: replayEpoch({ fileHash, mapping, codec, samplesMax, salt }),
    stream: mapping.stream,
    schema: mappingSchema(mapping),
    counts,
    [Symbol.asyncIterator]: () => items(options, fileHash, counts),
  }
}

async function* fileOrder(options: ReplayOptions, fileHash: Buffer, counts: ReplayCounts) {
  let pace: Pace | undefined
  for await (const item of cutRows(options, fileHash, counts)) {
    if (item.kind === 'refusal') yield item
    else if (item.kind === 'start') pace = new Pace(item.startUs)
    else yield paced(item.frame, pace!, counts)
  }
}

async function* recordedOrder(options: ReplayOptions, fileHash: Buffer, counts: ReplayCounts) {
  await using spool = await Spool.create(options.spoolFolder)
  for await (const item of cutRows(options, fileHash, counts)) {
    if (item.kind === 'refusal') yield item
    else if (item.kind === 'frame') await spool.add(item.frame)
  }
  const pace = new Pace(counts.firstUs ?? 0)
  for await (const frame of spool.inRecordedOrder()) yield paced(frame, pace, counts)
}

function paced(frame: CutFrame, pace: Pace, counts: ReplayCounts): ReplayFrame {
  counts.frames++
  return { kind: 'frame', ...frame, offsetUs: pace.offsetUs(frame) }
}

type CutItem =
  | RowRefusal
  /** Before the first frame: the recorded time of the first row. */
  | { readonly kind: 'start'; readonly startUs: number }
  | { readonly kind: 'frame'; readonly frame: CutFrame }

async function* cutRows(
  options: ReplayOptions,
  fileHash: Buffer,
  counts: ReplayCounts,
): AsyncGenerator<CutItem> {
  const { file, mapping, samplesMax, strict } = options
  const cutter = new Cutter(samplesMax === undefined ? {} : { samplesMax })
  let hashAtEnd = fileHash
  const onHash = (sha256: Buffer): void => {
    hashAtEnd = sha256
  }
  for await (const row of readRows({ file, mapping, onHash })) {
    if (row.kind === 'refusal') {
      countRefusal(counts, row)
      if (strict === true) throw strictError(file, row)
      yield row
      continue
    }
    if (counts.samples === 0) yield { kind: 'start', startUs: row.sample.timeUs }
    countSample(counts, row)
    for (const frame of cutter.push(row)) yield { kind: 'frame', frame }
  }
  // Two files under one epoch would be two sets of frames under one set of names.
  if (!hashAtEnd.equals(fileHash)) {
    throw new SimError('SIM_FILE_CHANGED', `${file} was changed while it was replayed`, {
      details: { file },
    })
  }
  for (const frame of cutter.end()) yield { kind: 'frame', frame }
  counts.sources = cutter.sourceCount
}

function countSample(counts: ReplayCounts, { sample }: RowSample): void {
  counts.rows++
  counts.samples++
  counts.firstUs = Math.min(counts.firstUs ?? sample.timeUs, sample.timeUs)
  counts.lastUs = Math.max(counts.lastUs ?? sample.timeUs, sample.timeUs)
}

function countRefusal(counts: ReplayCounts, refusal: RowRefusal): void {
  counts.rows++
  counts.refused++
  const group = refusal.column === undefined ? refusal.fault : `${refusal.column}: ${refusal.fault}`
  counts.refusedBy[group] = (counts.refusedBy[group] ?? 0) + 1
}

function strictError(file: string, { row, fault, column, reason }: RowRefusal): SimError {
  return new SimError('SIM_ROW_REFUSED', `${file}:${row}: ${reason}`, {
    details: { file, row, fault, column, reason },
  })
}
