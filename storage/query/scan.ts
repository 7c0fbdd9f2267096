// A plan's part, carried out at one store: which sources, and of each either everything held or the
// runs named. Frames are read, decoded, filtered, and become rows or partial buckets in the query's
// order (row.ts), a window at a time (window.ts). Rows that a reader has had already (`after`) are
// left out, so that a read begun at another store goes on here without repeating or omitting any.
import {
  codecFor,
  IntervalSet,
  type Epoch,
  type Frame,
  type Sample,
  type Schema,
  type SchemaId,
} from '../../mesh/index.ts'
import { messageOf } from '../errors.ts'
import type { Cell, FrameStore, StoredBlock } from '../frame-store.ts'
import { fieldFilter } from './filter.ts'
import { BucketGathering, RowGathering } from './gather.ts'
import type { LatestTable } from '../latest.ts'
import { scanHints } from './hints.ts'
import type { EpochRuns, ScanEvent, ScanRequest, SourcePart, UnreadableRuns } from './peer.ts'
import type { Aggregate, DownsampleQuery, LatestQuery, RangeQuery } from './query.ts'
import { comparer, type Position, type Row } from './row.ts'
import { windows, type Window, type WindowPlan } from './window.ts'

export type SchemaLookup = (id: SchemaId) => Schema | undefined | Promise<Schema | undefined>

export interface ScanSource {
  readonly store: FrameStore
  readonly latest: LatestTable
  readonly schemaOf: SchemaLookup
  /** Bound of memory per scan, in values of roughly 16 bytes. Default 500,000. */
  readonly windowWeightMax?: number
}

/** 8 MB of values, some 32 MB with all that is around them. */
const WINDOW_WEIGHT_MAX = 500_000
/** Ten fields: what a row and a bucket may weigh, before one was seen. */
const ROW_WEIGHT_GUESS = 15
const BUCKET_WEIGHT_GUESS = 176
/** Unreadable frames behind which the newest sample of a source is still looked for. */
const LATEST_PASSED_MAX = 64
/** Rows handed over at once. */
const BATCH_ROWS = 500

export function scan(
  from: ScanSource,
  request: ScanRequest,
  signal: AbortSignal,
): AsyncGenerator<ScanEvent> {
  const { query } = request
  return query.kind === 'latest'
    ? scanLatest(from, query, request, signal)
    : new Scan(from, query, request, signal).run()
}

/** The newest of each source, unfiltered: another store may have a newer one that does not pass. */
async function* scanLatest(
  from: ScanSource,
  query: LatestQuery,
  request: ScanRequest,
  signal: AbortSignal,
): AsyncGenerator<ScanEvent> {
  const { latest } = from
  const rows: Row[] = []
  const unreadable: UnreadableRuns[] = []
  for (const part of request.parts) {
    const row = latest.get(query.stream, part.source)
    if (row !== undefined) {
      rows.push(row)
      continue
    }
    const found = await newestReadable(from, query, part, signal)
    rows.push(...found.rows)
    unreadable.push(...found.unreadable)
  }
  // All of it at once: the asker begins anew for each of these events.
  if (unreadable.length > 0) yield { unreadable }
  for (let at = 0; at < rows.length; at += BATCH_ROWS) {
    yield { rows: rows.slice(at, at + BATCH_ROWS) }
  }
}

/**
 * For a source whose newest frame cannot be decoded, or is damaged: the newest sample of the frames
 * before it, and the frames that were passed. Where there are too many of those, the source is given
 * up: all that the store holds of it is called unreadable.
 */
async function newestReadable(
  from: ScanSource,
  { stream, fromUs }: LatestQuery,
  part: SourcePart,
  signal: AbortSignal,
): Promise<{ rows: readonly Row[]; unreadable: readonly UnreadableRuns[] }> {
  const query: RangeQuery = {
    kind: 'range',
    stream,
    where: [],
    fromUs,
    toUs: Number.MAX_SAFE_INTEGER,
    order: 'desc',
    limit: 1,
  }
  const { source } = part
  const passed = new Map<string, UnreadableRuns>()
  for await (const event of new Scan(from, query, { query, parts: [part] }, signal).run()) {
    if ('rows' in event) return { rows: event.rows, unreadable: [...passed.values()] }
    if (!('unreadable' in event)) continue
    for (const each of event.unreadable) passed.set(`${each.epoch}/${each.runs[0]}`, each)
    if (passed.size <= LATEST_PASSED_MAX) continue
    const [first] = passed.values()
    const reason =
      `${passed.size} frames of ${source} cannot be read (${first!.reason}): ` +
      'none before them was tried'
    const lanes = part.lanes ?? heldRuns(from.store, stream, source)
    return { rows: [], unreadable: lanes.map((lane) => ({ ...lane, source, reason })) }
  }
  return { rows: [], unreadable: [...passed.values()] }
}

function heldRuns(store: FrameStore, stream: string, source: string): EpochRuns[] {
  return Array.from(store.lanesOf(stream, source), ({ epoch, held }) => ({
    epoch,
    runs: held.toRuns(),
  }))
}

class Scan {
  private readonly from: ScanSource
  private readonly query: RangeQuery | DownsampleQuery
  private readonly request: ScanRequest
  private readonly signal: AbortSignal
  private readonly filter: ReturnType<typeof fieldFilter>
  /** Runs named, by source; a source read wholly is absent. */
  private readonly named = new Map<string, ReadonlyMap<Epoch, IntervalSet>>()
  private readonly sources: ReadonlySet<string>
  /** Entries of the store's list of damage already told. */
  private readonly toldDamage = new Set<string>()

  constructor(
    from: ScanSource,
    query: RangeQuery | DownsampleQuery,
    request: ScanRequest,
    signal: AbortSignal,
  ) {
    this.from = from
    this.query = query
    this.request = request
    this.signal = signal
    this.filter = fieldFilter(query)
    this.sources = new Set(request.parts.map(({ source }) => source))
    for (const { source, lanes } of request.parts) {
      if (lanes !== undefined) this.named.set(source, runsByEpoch(lanes))
    }
  }

  async *run(): AsyncGenerator<ScanEvent> {
    const { query, request } = this
    const isRange = query.kind === 'range'
    const stepUs = isRange ? 1 : query.everyUs
    const { after } = request
    const unreadable: UnreadableRuns[] = []
    const plan = { ...rangeAfter(query, after, stepUs), ...this.windowSizes(stepUs) }
    const gather = async (window: Window): Promise<{ items: Item[]; weight: number }> => {
      const gathering = isRange ? new RowGathering(query.order) : new BucketGathering(query)
      await this.gather(window, gathering, unreadable)
      return { items: gathering.drain(), weight: gathering.weight }
    }
    // Damage known before the first window may have been found since this store's digest was made.
    unreadable.push(...this.newDamage())
    let left = query.limit ?? Number.POSITIVE_INFINITY
    const compare = comparer(query.order)
    for await (const gathered of windows(plan, gather)) {
      if (unreadable.length > 0) yield { unreadable: unreadable.splice(0) }
      const items = after ? gathered.filter((item) => compare(item, after) > 0) : gathered
      for (let at = 0; at < items.length && left > 0; at += BATCH_ROWS) {
        const batch = items.slice(at, Math.min(at + BATCH_ROWS, at + left))
        left -= batch.length
        yield isRange ? { rows: batch as Row[] } : { buckets: batch as BucketItem[] }
      }
      if (left <= 0) return
    }
    if (unreadable.length > 0) yield { unreadable }
  }

  private async gather(
    window: Window,
    gathering: RowGathering | BucketGathering,
    unreadable: UnreadableRuns[],
  ): Promise<void> {
    const { store } = this.from
    const { stream } = this.query
    for (const { source } of this.request.parts) {
      const into: Into = { window, gathering, unreadable, named: this.named.get(source) }
      const range = { stream, source, fromUs: window.fromUs, toUs: window.toUs }
      for await (const item of store.scan(range)) {
        this.signal.throwIfAborted()
        // They come by first event time, and the window may have been cut since the scan began.
        if (('frame' in item ? item.frame : item).firstUs >= window.toUs) break
        if ('frame' in item) await this.addFrame(item.frame, into)
        else if (!this.addCells(item, into)) this.addBlock(item, into)
        window.fit(gathering)
      }
    }
    unreadable.push(...this.newDamage())
  }

  private async addFrame(frame: Frame, into: Into): Promise<void> {
    const { source, epoch, sequence, lastUs, body } = frame
    if (lastUs < into.window.fromUs || !isWanted(into, epoch, sequence)) return
    const samples = await this.decode(frame)
    this.addSamples({ source, epoch, sequence, bytes: body.length }, samples, into)
  }

  private addBlock(block: StoredBlock, into: Into): void {
    const { source, epoch } = block
    for (const [i, { sequence, firstUs, lastUs, bytes }] of block.frames.entries()) {
      const { fromUs, toUs } = into.window
      if (firstUs >= toUs || lastUs < fromUs || !isWanted(into, epoch, sequence)) continue
      this.addSamples({ source, epoch, sequence, bytes }, block.samples(i), into)
      into.window.fit(into.gathering)
    }
  }

  /** Whether the block's sums said all that there is to say of its samples. */
  private addCells(block: StoredBlock, { window, gathering, ...into }: Into): boolean {
    const { query } = this
    if (query.kind !== 'downsample' || !(gathering instanceof BucketGathering)) return false
    if (query.where.length > 0 || !query.aggregates.every(isSummed)) return false
    if (!window.has(block.firstUs) || !window.has(block.lastUs)) return false
    const isAll = block.frames.every(({ sequence }) => isWanted(into, block.epoch, sequence))
    const cells = isAll ? block.cells(query.everyUs) : undefined
    for (const cell of cells ?? []) {
      const shown = query.fields?.filter((name) => cell.fields.has(name))
      if (shown === undefined) gathering.addCell(block.source, cell)
      else if (shown.length > 0) gathering.addCell(block.source, withFields(cell, shown))
    }
    return cells !== undefined
  }

  /** Adds the rows of a frame, or notes why there are none. */
  private addSamples(
    { source, epoch, sequence, bytes }: FrameName,
    samples: readonly Sample[] | string,
    { window, gathering, unreadable }: Into,
  ): void {
    if (typeof samples === 'string') {
      unreadable.push({ source, epoch, runs: [sequence, sequence], reason: samples })
      return
    }
    // Estimated once per frame: its first sample's fields, and its text by its bytes.
    const fieldCount = samples.length === 0 ? 0 : Object.keys(samples[0]!.fields).length
    const weight = 4 + fieldCount + bytes / (16 * Math.max(1, samples.length))
    for (const [index, { timeUs, fields }] of samples.entries()) {
      if (!window.has(timeUs)) continue
      const shown = this.filter(fields)
      if (shown === undefined) continue
      gathering.add({ timeUs, source, epoch, sequence, index, fields: shown }, weight)
    }
  }

  /** The samples, or why there are none. A body that does not decode is the same at every store. */
  private async decode(frame: Frame): Promise<Sample[] | string> {
    const schema = await this.from.schemaOf(frame.schemaId)
    if (schema === undefined) return `schema ${frame.schemaId} is not known here`
    try {
      return codecFor(frame.codec).decode(frame.body, frame.count, schema)
    } catch (error) {
      return `codec ${frame.codec}: ${messageOf(error)}`
    }
  }

  /** Damage listed since last asked, of frames this scan is to read. */
  private newDamage(): UnreadableRuns[] {
    const found: UnreadableRuns[] = []
    for (const { source, stream, epoch, sequence, reason } of this.from.store.damaged()) {
      if (stream !== this.query.stream || !this.sources.has(source)) continue
      const named = this.named.get(source)
      if (named !== undefined && !named.get(epoch)?.has(sequence)) continue
      const name = `${epoch}/${sequence}/${source}`
      if (this.toldDamage.has(name)) continue
      this.toldDamage.add(name)
      found.push({ source, epoch, runs: [sequence, sequence], reason: `damaged: ${reason}` })
    }
    return found
  }

  /** How wide the first window is to be, so that it holds about a third of what it may. */
  private windowSizes(stepUs: number): Omit<WindowPlan, 'fromUs' | 'toUs'> {
    const { query, sources } = this
    const { store, latest, windowWeightMax = WINDOW_WEIGHT_MAX } = this.from
    // For a query with a small limit there is no use in gathering more than a few times that.
    const weightMax = Math.min(windowWeightMax, (query.limit ?? Number.POSITIVE_INFINITY) * 200)
    const hints = scanHints(store, latest, query.stream, sources)
    const { oldestUs = 0, newestUs = 0, density = 0 } = hints ?? {}
    const weightPerUs =
      query.kind === 'range'
        ? density * ROW_WEIGHT_GUESS
        : Math.min(density, sources.size / stepUs) * BUCKET_WEIGHT_GUESS
    const firstSpanUs = Math.min(Number.MAX_SAFE_INTEGER, weightMax / 3 / weightPerUs)
    return { order: query.order, stepUs, weightMax, firstSpanUs, oldestUs, newestUs }
  }
}

/** What frames of one source are added to. */
interface Into {
  readonly window: Window
  readonly gathering: RowGathering | BucketGathering
  readonly unreadable: UnreadableRuns[]
  /** Runs named; undefined when all is wanted. */
  readonly named: ReadonlyMap<Epoch, IntervalSet> | undefined
}

interface FrameName {
  readonly source: string
  readonly epoch: Epoch
  readonly sequence: number
  readonly bytes: number
}

type BucketItem = ReturnType<BucketGathering['drain']>[number]
type Item = Row | BucketItem

/** What of the range can still come after `after`; its own bucket or moment included. */
function rangeAfter(
  query: RangeQuery | DownsampleQuery,
  after: Position | undefined,
  stepUs: number,
): { fromUs: number; toUs: number } {
  const { fromUs, toUs, order } = query
  if (after === undefined) return { fromUs, toUs }
  return order === 'asc'
    ? { fromUs: Math.max(fromUs, after.timeUs), toUs }
    : { fromUs, toUs: Math.min(toUs, after.timeUs + stepUs) }
}

function isWanted({ named }: Pick<Into, 'named'>, epoch: Epoch, sequence: number): boolean {
  return named === undefined || named.get(epoch)?.has(sequence) === true
}

/** Whether sums alone tell it: which row was the first or last, they do not know. */
function isSummed(aggregate: Aggregate): boolean {
  return aggregate !== 'first' && aggregate !== 'last'
}

function withFields(cell: Cell, names: readonly string[]): Cell {
  return { ...cell, fields: new Map(names.map((name) => [name, cell.fields.get(name)!])) }
}

function runsByEpoch(lanes: readonly EpochRuns[]): Map<Epoch, IntervalSet> {
  return new Map(lanes.map(({ epoch, runs }) => [epoch, new IntervalSet(runs)]))
}
