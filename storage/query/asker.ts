// Asks the mesh: digests from every member that can be reached, a plan, the parts from the stores
// chosen, merged into rows in order, and what they cover. When a store dies in the middle its parts
// are planned again over the stores that are left, each beginning after the last row that came, so
// that no row is repeated and none is left out that anybody still has.
//
//   stores() ─► digests (their member tables name further stores) ─► plan ─► scans ─► merge ─► rows
//                                                                     ▲         │
//                                                                     └─ a store died, or cannot
//                                                                        read a frame: plan again
import type { Clock, StoreId } from '../../mesh/index.ts'
import type { Coverage } from '../coverage.ts'
import { messageOf } from '../errors.ts'
import { bucketRow, mergeBucket, type BucketPartial, type BucketRow } from './aggregate.ts'
import { withDeadline } from './deadline.ts'
import { DigestRound, type Asked, type LocalStore } from './digest-round.ts'
import { fieldFilter } from './filter.ts'
import { Holdings } from './holdings.ts'
import { mergeSorted } from './merge.ts'
import type {
  DigestAnswer,
  DigestRequest,
  Member,
  QueryPeer,
  ScanEvent,
  SourcePart,
} from './peer.ts'
import { planParts, type StorePart } from './plan.ts'
import { coverageOf } from './query-coverage.ts'
import type { DownsampleQuery, LatestQuery, Query, RangeQuery } from './query.ts'
import { comparePositions, comparer, type Position, type Row } from './row.ts'
import { mergeStreams, type StreamSummary } from './streams.ts'

/** What an asker knows to begin with: one reachable store is enough. */
export interface StoreView {
  readonly members: readonly Member[]
  /** Endpoints to ask besides, whichever store is behind them. */
  readonly seeds?: readonly string[]
  /** W of the mesh: on how many stores a frame is when it is acknowledged. */
  readonly writeQuorum: number
}

export interface AskerOptions {
  readonly stores: () => StoreView | Promise<StoreView>
  readonly clock: Clock
  /** How to reach a store by its endpoint. */
  readonly connect: (http: string) => QueryPeer
  /** The store of this very process, asked without a detour and preferred. */
  readonly local?: LocalStore | undefined
  /** How long a store may take for its digest. Default 2000. */
  readonly digestTimeoutMs?: number
}

export interface Answer<R> {
  /** Read once, these or `batches`. Stopping early ends the reads at the stores. */
  readonly rows: AsyncIterable<R>
  /** The same rows, as many at a time as come together. */
  readonly batches: AsyncIterable<readonly R[]>
  /** Known when the rows have ended or were abandoned; rejects when they failed. */
  readonly coverage: Promise<Coverage>
}

const DIGEST_TIMEOUT_MS = 2_000
/** Rows handed over at once. */
const BATCH_ROWS = 500

export class Asker {
  private readonly options: AskerOptions

  constructor(options: AskerOptions) {
    this.options = options
  }

  /**
   * Answers any query; rows of `downsample` are buckets.
   * @throws StorageError QUERY_NO_PEER when no store answers, QUERY_STREAM_UNKNOWN when none of
   * those that do has the stream.
   */
  async ask(query: Query, signal: AbortSignal): Promise<Answer<Row | BucketRow>> {
    if (query.kind === 'latest') return await this.latest(query, signal)
    if (query.kind === 'range') return await this.range(query, signal)
    return await this.downsample(query, signal)
  }

  async latest(query: LatestQuery, signal: AbortSignal): Promise<Answer<Row>> {
    const reading = await this.begin(query, signal)
    return answer(reading, latestRows(reading, query))
  }

  async range(query: RangeQuery, signal: AbortSignal): Promise<Answer<Row>> {
    const reading = await this.begin(query, signal)
    return answer(reading, limited(reading.merged(rowsOf), query.limit))
  }

  async downsample(query: DownsampleQuery, signal: AbortSignal): Promise<Answer<BucketRow>> {
    const reading = await this.begin(query, signal)
    return answer(reading, limited(bucketRows(reading, query), query.limit))
  }

  /** Every stream of the mesh, by the stores that answer. @throws StorageError QUERY_NO_PEER. */
  async streams(signal: AbortSignal): Promise<StreamSummary[]> {
    // Naming no source asks for no lane: only the stores themselves are looked for.
    const { round } = await this.digests({ sources: [] }, signal)
    const { clock, digestTimeoutMs = DIGEST_TIMEOUT_MS } = this.options
    const views = await Promise.allSettled(
      [...round.answers.values()].map(({ peer }) =>
        withDeadline(clock, digestTimeoutMs, signal, (limit) => peer.streams(limit)),
      ),
    )
    signal.throwIfAborted()
    return mergeStreams(views.flatMap((view) => (view.status === 'fulfilled' ? [view.value] : [])))
  }

  private async begin(query: Query, signal: AbortSignal): Promise<Reading> {
    const { stream, sources } = query
    const { round, writeQuorum } = await this.digests({ stream, sources }, signal)
    round.checkStream(stream)
    const { clock, local } = this.options
    return new Reading(query, round, writeQuorum, clock, local?.storeId, signal)
  }

  private async digests(
    request: DigestRequest,
    signal: AbortSignal,
  ): Promise<{ round: DigestRound; writeQuorum: number }> {
    const { clock, connect, local, stores, digestTimeoutMs = DIGEST_TIMEOUT_MS } = this.options
    const { members, seeds = [], writeQuorum } = await stores()
    const digestOf = (peer: QueryPeer): Promise<DigestAnswer> =>
      withDeadline(clock, digestTimeoutMs, signal, (limit) => peer.digest(request, limit))
    const round = new DigestRound(digestOf, connect, local)
    const others: Asked[] = seeds.map((http) => ({ http }))
    if (local !== undefined) others.push({ storeId: local.storeId })
    await Promise.all([round.askMembers(members), ...others.map((other) => round.askOne(other))])
    signal.throwIfAborted()
    round.checkAnswered()
    return { round, writeQuorum }
  }
}

/** One query being answered: the plan, the streams from the stores, and what could not be had. */
class Reading {
  readonly query: Query
  private readonly round: DigestRound
  private readonly holdings = new Holdings()
  private readonly writeQuorum: number
  private readonly clock: Clock
  private readonly prefer: StoreId | undefined
  private readonly signal: AbortSignal
  private readonly troubles: string[] = []

  constructor(
    query: Query,
    round: DigestRound,
    writeQuorum: number,
    clock: Clock,
    prefer: StoreId | undefined,
    signal: AbortSignal,
  ) {
    this.query = query
    this.round = round
    this.writeQuorum = writeQuorum
    this.clock = clock
    this.prefer = prefer
    this.signal = signal
    for (const [storeId, { answer }] of round.answers) this.holdings.add(storeId, answer.lanes)
  }

  coverage(): Coverage {
    const answers = [...this.round.answers.values()].map(({ answer }) => answer)
    return coverageOf({
      answers,
      members: this.round.members(),
      writeQuorum: this.writeQuorum,
      givenUp: (source, epoch) => this.holdings.givenUp(source, epoch),
      failures: this.round.failures,
      troubles: this.troubles,
      nowUs: this.clock.nowUs(),
    })
  }

  /** What the stores send, merged in the query's order. */
  merged<T extends Position>(pick: (event: ScanEvent) => readonly T[]): AsyncGenerator<T[]> {
    const everything = [...this.holdings.sources()].map((source) => ({ source }))
    return this.mergedParts(everything, undefined, pick)
  }

  private mergedParts<T extends Position>(
    wanted: readonly SourcePart[],
    after: Position | undefined,
    pick: (event: ScanEvent) => readonly T[],
  ): AsyncGenerator<T[]> {
    const plan = planParts(this.holdings, wanted, this.prefer)
    const order = this.query.kind === 'latest' ? 'asc' : this.query.order
    return mergeSorted(
      plan.map((part) => this.readPart(part, after, pick)),
      comparer(order),
    )
  }

  private async *readPart<T extends Position>(
    part: StorePart,
    after: Position | undefined,
    pick: (event: ScanEvent) => readonly T[],
  ): AsyncGenerator<T[]> {
    const { storeId, parts } = part
    const { query, signal } = this
    let last = after
    let mustReplan = false
    try {
      const { peer } = this.round.answers.get(storeId)!
      for await (const event of peer.scan({ query, parts, after }, signal)) {
        if ('unreadable' in event) {
          if (!this.holdings.dropRuns(storeId, event.unreadable)) continue
          this.note(`store ${storeId}: ${event.unreadable[0]?.reason ?? 'unreadable frames'}`)
          mustReplan = true
          break
        }
        const items = pick(event)
        if (items.length === 0) continue
        last = items.at(-1)
        yield items as T[]
      }
    } catch (error) {
      signal.throwIfAborted()
      mustReplan = true
      this.holdings.drop(storeId)
      this.note(`store ${storeId} failed while it was read: ${messageOf(error)}`)
    }
    if (mustReplan) yield* this.mergedParts(parts, last, pick)
  }

  private note(trouble: string): void {
    if (this.troubles.length < 10 && !this.troubles.includes(trouble)) this.troubles.push(trouble)
  }
}

function rowsOf(event: ScanEvent): readonly Row[] {
  return 'rows' in event ? event.rows : []
}

function bucketsOf(event: ScanEvent): readonly BucketPartial[] {
  return 'buckets' in event ? event.buckets : []
}

/** One row per source: the newest that any of its readers has. Only then do conditions choose. */
async function* latestRows(reading: Reading, query: LatestQuery): AsyncGenerator<Row[]> {
  const read: Row[] = []
  for await (const batch of reading.merged(rowsOf)) read.push(...batch)
  const rows = chosen(newestOfEach(read), query)
  const count = Math.min(rows.length, query.limit ?? rows.length)
  for (let at = 0; at < count; at += BATCH_ROWS) {
    yield rows.slice(at, Math.min(at + BATCH_ROWS, count))
  }
}

/** By source. A store names its sources nearly in order, which a sort is quick with. */
function newestOfEach(rows: Row[]): Row[] {
  rows.sort((a, b) =>
    a.source === b.source ? comparePositions(b, a) : a.source < b.source ? -1 : 1,
  )
  return rows.filter(({ source }, i) => i === 0 || rows[i - 1]!.source !== source)
}

function chosen(rows: readonly Row[], query: LatestQuery): Row[] {
  const filter = fieldFilter(query)
  const some: Row[] = []
  for (const row of rows) {
    const fields = row.timeUs >= query.fromUs ? filter(row.fields) : undefined
    if (fields !== undefined) some.push(fields === row.fields ? row : { ...row, fields })
  }
  return some
}

/** Partial buckets that follow each other and are the same bucket become one row. */
async function* bucketRows(reading: Reading, query: DownsampleQuery): AsyncGenerator<BucketRow[]> {
  let open: BucketPartial | undefined
  for await (const batch of reading.merged(bucketsOf)) {
    const rows: BucketRow[] = []
    for (const bucket of batch) {
      if (open !== undefined && comparePositions(open, bucket) === 0) {
        mergeBucket(open, bucket)
        continue
      }
      if (open !== undefined) rows.push(bucketRow(open, query.aggregates))
      open = bucket
    }
    yield rows
  }
  if (open !== undefined) yield [bucketRow(open, query.aggregates)]
}

async function* limited<R>(batches: AsyncGenerator<R[]>, limit: number | undefined) {
  let left = limit ?? Number.POSITIVE_INFINITY
  for await (const batch of batches) {
    yield batch.length > left ? batch.slice(0, left) : batch
    left -= batch.length
    if (left <= 0) return
  }
}

function answer<R>(reading: Reading, batches: AsyncGenerator<R[]>): Answer<R> {
  const { promise: coverage, resolve, reject } = Promise.withResolvers<Coverage>()
  // Whoever only reads rows meets the error there.
  coverage.catch(() => undefined)
  async function* told(): AsyncGenerator<R[]> {
    try {
      yield* batches
    } catch (error) {
      reject(error)
      throw error
    } finally {
      resolve(reading.coverage())
    }
  }
  const all = told()
  async function* rows(): AsyncGenerator<R> {
    for await (const batch of all) yield* batch
  }
  return { rows: rows(), batches: all, coverage }
}
