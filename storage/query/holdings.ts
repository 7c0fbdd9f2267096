// Who holds what of one stream, as the stores that answered told it: source → store → epoch → runs.
// The plan is made from this and made again from what is left when a store dies in the middle, so
// it only ever shrinks. What was known at first stays known: that is what an answer must account for.
import { IntervalSet, type Epoch, type StoreId } from '../../mesh/index.ts'
import type { LaneDigest } from '../coverage.ts'
import type { EpochRuns, UnreadableRuns } from './peer.ts'

/** Sequences by epoch, of one source. */
export type RunsByEpoch = Map<Epoch, IntervalSet>

export class Holdings {
  /** Union of everything held by anyone at first. */
  private readonly known = new Map<string, RunsByEpoch>()
  private readonly held = new Map<string, Map<StoreId, RunsByEpoch>>()
  /** What no reader could be found for. */
  private readonly given = new Map<string, RunsByEpoch>()

  add(storeId: StoreId, lanes: readonly LaneDigest[]): void {
    for (const { source, epoch, held } of lanes) {
      if (held.length === 0) continue
      const runs = new IntervalSet(held)
      addRuns(entry(this.known, source), epoch, runs)
      const stores = entry(this.held, source)
      addRuns(entry(stores, storeId), epoch, runs)
    }
  }

  sources(): Iterable<string> {
    return this.known.keys()
  }

  knownRuns(source: string): RunsByEpoch {
    return this.known.get(source) ?? new Map<Epoch, IntervalSet>()
  }

  holders(source: string): ReadonlyMap<StoreId, RunsByEpoch> {
    return this.held.get(source) ?? new Map<StoreId, RunsByEpoch>()
  }

  /** The store is gone: nothing of it will be read any more. */
  drop(storeId: StoreId): void {
    for (const stores of this.held.values()) stores.delete(storeId)
  }

  /** The store cannot serve these after all. Returns whether it had been counted on for any. */
  dropRuns(storeId: StoreId, unreadable: readonly UnreadableRuns[]): boolean {
    let changed = false
    for (const { source, epoch, runs } of unreadable) {
      const epochs = this.held.get(source)?.get(storeId)
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
    return this.given.get(source)?.get(epoch) ?? new IntervalSet()
  }
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
