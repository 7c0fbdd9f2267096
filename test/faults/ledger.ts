// What was promised: each receipt, as the publisher hears it, outside of everything that a fault touches.
// Held against the rows of a query, and against what each store says that it has.
import {
  IntervalSet,
  laneKey,
  shardOf,
  type FrameReceipt,
  type LaneKey,
  type StoreId,
} from '../../mesh/index.ts'
import type { Row } from '../../storage/index.ts'
import type { DigestAnswer } from '../../storage/query/peer.ts'
import type { Samples, Series } from './samples.ts'

/** What is wrong with an answer, in samples. */
export interface Verdict {
  /** Acknowledged and not there. */
  readonly lost: number
  /** There, and never published: other bytes, another time, another name. */
  readonly wrong: number
  /** There more than once. */
  readonly repeated: number
}

interface SeriesPromise {
  readonly series: Series
  /** Samples that publish() took. */
  published: number
  /** Numbers + 1 of samples that are acknowledged: an IntervalSet begins at 1. */
  readonly acked: IntervalSet
}

interface LanePromise {
  readonly key: LaneKey
  readonly source: string
  /** Acknowledged sequences. */
  readonly acked: IntervalSet
  /** And by which store. */
  readonly byStore: Map<StoreId, IntervalSet>
}

/** What was acknowledged at some moment. */
export interface Mark {
  /** Numbers + 1, by name of the series. */
  readonly series: ReadonlyMap<string, IntervalSet>
  readonly lanes: ReadonlyMap<LaneKey, IntervalSet>
}

const NOTHING = new IntervalSet()

export class Ledger {
  frames = 0
  samples = 0
  /** Retention may have taken what was acknowledged by then, and says so. */
  mayBeGone: Mark = { series: new Map(), lanes: new Map() }
  private readonly source: Samples
  private readonly series = new Map<string, SeriesPromise>()
  private readonly lanePromises = new Map<LaneKey, LanePromise>()

  constructor(source: Samples) {
    this.source = source
  }

  /** How many have acknowledged frames. */
  get lanes(): number {
    return this.lanePromises.size
  }

  /** How many frames a store has acknowledged that are acknowledged to their publisher. */
  framesOf(store: StoreId): number {
    let frames = 0
    for (const { byStore } of this.lanePromises.values()) frames += byStore.get(store)?.size ?? 0
    return frames
  }

  published(series: Series): void {
    this.promiseOf(series).published += 1
  }

  /** How many of a series there are, which is the next one's number. */
  countOf(series: Series): number {
    return this.promiseOf(series).published
  }

  acknowledged(receipt: FrameReceipt): void {
    const { source, stream, epoch, sequence, timesUs, stores } = receipt
    const { acked } = this.promiseOf({ source, stream })
    for (const timeUs of timesUs) acked.add(this.source.numberAt(timeUs) + 1)
    this.frames += 1
    this.samples += timesUs.length
    const key = laneKey(source, stream, epoch)
    let lane = this.lanePromises.get(key)
    if (lane === undefined) {
      lane = { key, source, acked: new IntervalSet(), byStore: new Map() }
      this.lanePromises.set(key, lane)
    }
    lane.acked.add(sequence)
    for (const store of stores) addTo(lane.byStore, store, sequence)
  }

  /** What is acknowledged now, to hold against an answer that is asked for after. */
  mark(): Mark {
    const copy = ({ acked }: { acked: IntervalSet }): IntervalSet => new IntervalSet(acked.toRuns())
    return {
      series: new Map([...this.series].map(([name, promise]) => [name, copy(promise)])),
      lanes: new Map([...this.lanePromises].map(([key, promise]) => [key, copy(promise)])),
    }
  }

  /** `promised` is what was acknowledged before the rows of this stream were asked for. */
  verdict(stream: string, rows: readonly Row[], promised: Mark): Verdict {
    let wrong = 0
    let repeated = 0
    const found = new Map<string, IntervalSet>()
    for (const row of rows) {
      const series = { source: row.source, stream }
      const promise = this.series.get(nameOf(series))
      const n = this.source.numberOf(series, row)
      if (promise === undefined || n === undefined || n >= promise.published) {
        wrong += 1
        continue
      }
      const there = found.get(nameOf(series))
      if (there?.has(n + 1) === true) repeated += 1
      else addTo(found, nameOf(series), n + 1)
    }
    let lost = 0
    for (const [name, acked] of promised.series) {
      if (this.series.get(name)!.series.stream !== stream) continue
      const gone = this.mayBeGone.series.get(name) ?? NOTHING
      lost += acked.minus(found.get(name) ?? NOTHING).minus(gone).size
    }
    return { lost, wrong, repeated }
  }

  /** How many of the rows were acknowledged by then: for when they should be gone. */
  served(stream: string, rows: readonly Row[], { series }: Mark): number {
    const isOf = ({ source, timeUs }: Row): boolean =>
      series.get(nameOf({ source, stream }))?.has(this.source.numberAt(timeUs) + 1) === true
    return rows.filter(isOf).length
  }

  /** How many of the frames that were acknowledged by then a store holds. */
  holds({ lanes }: Pick<DigestAnswer, 'lanes'>, mark: Mark): number {
    let frames = 0
    for (const { source, stream, epoch, held } of lanes) {
      const acked = mark.lanes.get(laneKey(source, stream, epoch)) ?? NOTHING
      frames += acked.and(new IntervalSet(held)).size
    }
    return frames
  }

  /** Acknowledged frames of the shards given that the store does not have. */
  lacking({ lanes }: DigestAnswer, shards: ReadonlySet<number>): number {
    return this.countMissing(lanes, ({ source, acked }) =>
      shards.has(shardOf(source)) ? acked : undefined,
    )
  }

  /** Frames that this store itself said it has synced, and does not have. */
  broken(store: StoreId, lanes: DigestAnswer['lanes']): number {
    return this.countMissing(lanes, ({ byStore }) => byStore.get(store))
  }

  private countMissing(
    lanes: DigestAnswer['lanes'],
    promised: (lane: LanePromise) => IntervalSet | undefined,
  ): number {
    const digests = new Map(
      lanes.map((lane) => [laneKey(lane.source, lane.stream, lane.epoch), lane]),
    )
    let missing = 0
    for (const lane of this.lanePromises.values()) {
      const { held = [], trimmed = [] } = digests.get(lane.key) ?? {}
      const gone = this.mayBeGone.lanes.get(lane.key) ?? NOTHING
      const known = new IntervalSet(held).or(new IntervalSet(trimmed).and(gone))
      missing += promised(lane)?.minus(known).size ?? 0
    }
    return missing
  }

  private promiseOf(series: Series): SeriesPromise {
    const name = nameOf(series)
    let promise = this.series.get(name)
    if (promise === undefined) {
      promise = { series, published: 0, acked: new IntervalSet() }
      this.series.set(name, promise)
    }
    return promise
  }
}

const nameOf = ({ source, stream }: Series): string => `${stream} ${source}`

function addTo<Key>(sets: Map<Key, IntervalSet>, key: Key, sequence: number): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new IntervalSet([sequence, sequence]))
  else set.add(sequence)
}
