// Who holds what of one stream, as the stores that answered told it: source → store → epoch → runs.
// The plan is made from this and made again from what is left when a store dies in the middle, so
// it only ever shrinks. What was known at first stays known: that is what an answer must account for.
import { IntervalSet, type Epoch, type StoreId } from '../../mesh/index.ts'
import type { LaneDigest } from '../coverage.ts'
import type { EpochRuns, UnreadableRuns } from './peer.ts'

const NOBODY: readonly StoreId[] = []
const NONE = new IntervalSet()

/** Sequences by epoch, of one source. */
export type RunsByEpoch = Map<Epoch, IntervalSet>

/** What a store said it holds of one of a source's lanes. */
interface Told {
  readonly storeId: StoreId
  readonly epoch: Epoch
  readonly held: readonly number[]
}

/** What is known of one source, as sets. */
interface SourceSets {
  /** Union of everything held by anyone at first. */
  readonly known: RunsByEpoch
  readonly held: Map<StoreId, RunsByEpoch>
}

export class Holdings {
  private readonly told = new Map<string, Told[]>()
  /** By source, made when they are asked for: for nearly all sources it is enough to see what was told. */
  private readonly sets = new Map<string, SourceSets>()
  private readonly gone = new Set<StoreId>()
  /** What no reader could be found for. */
  private readonly given = new Map<string, RunsByEpoch>()

  /** Before anything is asked. */
  add(storeId: StoreId, lanes: readonly LaneDigest[]): void {
    for (const { source, epoch, held } of lanes) {
      if (held.length === 0) continue
      const told = { storeId, epoch, held }
      const others = this.told.get(source)
      if (others === undefined) this.told.set(source, [told])
      else others.push(told)
    }
  }

  sources(): Iterable<string> {
    return this.told.keys()
  }

  knownRuns(source: string): RunsByEpoch {
    return this.setsOf(source).known
  }

  holders(source: string): ReadonlyMap<StoreId, RunsByEpoch> {
    return this.setsOf(source).held
  }

  /**
   * The stores that have all that is known of the source, as far as can be told without sets: it is one
   * run for each epoch, or only they know of it.
   */
  wholeHolders(source: string): readonly StoreId[] {
    const told = this.told.get(source)
    if (told === undefined || this.sets.has(source)) return NOBODY
    const [first] = told
    if (told.length === 1) return this.gone.has(first!.storeId) ? NOBODY : [first!.storeId]
    const stores = [...new Set(told.map(({ storeId }) => storeId))]
    return stores.filter(
      (storeId) =>
        !this.gone.has(storeId) &&
        told.every((lane) => told.some((own) => own.storeId === storeId && spans(own, lane))),
    )
  }

  /** The store is gone: nothing of it will be read any more. */
  drop(storeId: StoreId): void {
    this.gone.add(storeId)
    for (const { held } of this.sets.values()) held.delete(storeId)
  }

  /** The store cannot serve these after all. Returns whether it had been counted on for any. */
  dropRuns(storeId: StoreId, unreadable: readonly UnreadableRuns[]): boolean {
    let changed = false
    for (const { source, epoch, runs } of unreadable) {
      const epochs = this.setsOf(source).held.get(storeId)
      const held = epochs?.get(epoch)
      if (epochs === undefined || held === undefined) continue
      const left = held.minus(new IntervalSet(runs))
      if (left.size === held.size) continue
      epochs.set(epoch, left)
      changed = true
    }
    return changed
  }

  /** These runs were known and are not in the answer, or not wholly. */
  giveUp(source: string, epoch: Epoch, runs: IntervalSet): void {
    if (!runs.isEmpty) addRuns(entry(this.given, source), epoch, runs)
  }

  givenUp(source: string, epoch: Epoch): IntervalSet {
    if (this.given.size === 0) return NONE
    return this.given.get(source)?.get(epoch) ?? NONE
  }

  private setsOf(source: string): SourceSets {
    const made = this.sets.get(source)
    if (made !== undefined) return made
    const sets: SourceSets = { known: new Map(), held: new Map() }
    this.sets.set(source, sets)
    for (const { storeId, epoch, held } of this.told.get(source) ?? []) {
      const runs = new IntervalSet(held)
      addRuns(sets.known, epoch, runs)
      if (!this.gone.has(storeId)) addRuns(entry(sets.held, storeId), epoch, runs)
    }
    return sets
  }
}

/** Whether all of the other is in one run of this. */
function spans(own: Told, other: Told): boolean {
  if (own === other) return true
  const { epoch, held } = own
  if (epoch !== other.epoch || held.length !== 2) return false
  return held[0]! <= other.held[0]! && held[1]! >= other.held.at(-1)!
}

export function toEpochRuns(runs: RunsByEpoch): EpochRuns[] {
  return [...runs].map(([epoch, set]) => ({ epoch, runs: set.toRuns() }))
}

export function fromEpochRuns(lanes: readonly EpochRuns[]): RunsByEpoch {
  const runs: RunsByEpoch = new Map()
  for (const lane of lanes) addRuns(runs, lane.epoch, new IntervalSet(lane.runs))
  return runs
}

export function sizeOf(runs: RunsByEpoch): number {
  let size = 0
  for (const set of runs.values()) size += set.size
  return size
}

/** What is in both; epochs with nothing are left out. */
export function andRuns(a: RunsByEpoch, b: RunsByEpoch): RunsByEpoch {
  return perEpoch(a, (set, epoch) => (b.has(epoch) ? set.and(b.get(epoch)!) : new IntervalSet()))
}

export function minusRuns(a: RunsByEpoch, b: RunsByEpoch): RunsByEpoch {
  return perEpoch(a, (set, epoch) => (b.has(epoch) ? set.minus(b.get(epoch)!) : set))
}

function perEpoch(
  runs: RunsByEpoch,
  change: (set: IntervalSet, epoch: Epoch) => IntervalSet,
): RunsByEpoch {
  const result: RunsByEpoch = new Map()
  for (const [epoch, set] of runs) {
    const changed = change(set, epoch)
    if (!changed.isEmpty) result.set(epoch, changed)
  }
  return result
}

function addRuns(into: RunsByEpoch, epoch: Epoch, runs: IntervalSet): void {
  const set = into.get(epoch)
  into.set(epoch, set === undefined ? runs : set.or(runs))
}

function entry<K, V extends Map<unknown, unknown>>(map: Map<K, V>, key: K): V {
  let value = map.get(key)
  if (value === undefined) {
    value = new Map() as V
    map.set(key, value)
  }
  return value
}
