// What one store lacks that others hold, by lane.
import { IntervalSet, laneKey, type LaneKey } from '../../mesh/index.ts'
import type { FrameStore } from '../frame-store.ts'
import type { LaneRuns } from '../query/peer.ts'
import type { KnownLane } from './known.ts'

/** A lane with runs that this store lacks. */
export interface Lack {
  readonly lane: Omit<LaneRuns, 'runs'>
  runs: IntervalSet
}

export type Lacks = Map<LaneKey, Lack>

export class Comparison {
  readonly lacking: Lacks = new Map()
  private readonly store: FrameStore
  private readonly owned: ReadonlySet<number>
  private readonly damaged: ReadonlyMap<LaneKey, IntervalSet>

  constructor(store: FrameStore, owned: ReadonlySet<number>) {
    this.store = store
    this.owned = owned
    this.damaged = damagedRuns(store)
  }

  /** Adds what another store holds of a lane, and this one neither holds nor had removed by retention. */
  add({ key, shard, source, stream, epoch, held }: KnownLane): void {
    let runs = missingOf(this.store, key, held)
    if (runs.isEmpty) return
    // Of what it does not own it fetches only what it had once and cannot read any more.
    if (!this.owned.has(shard)) runs = runs.and(this.damaged.get(key) ?? new IntervalSet())
    addLack(this.lacking, key, { lane: { source, stream, epoch }, runs })
  }
}

/** Takes out what has arrived since, by repair or otherwise. */
export function forgetHeld(store: FrameStore, lacking: Lacks): void {
  for (const [key, lack] of lacking) {
    lack.runs = missingOf(store, key, lack.runs)
    if (lack.runs.isEmpty) lacking.delete(key)
  }
}

/** What is in both. */
export function inBoth(now: Lacks, before: Lacks): Lacks {
  const both: Lacks = new Map()
  for (const [key, { lane, runs }] of now) {
    const earlier = before.get(key)
    if (earlier !== undefined) addLack(both, key, { lane, runs: runs.and(earlier.runs) })
  }
  return both
}

export function framesIn(lacking: Lacks): number {
  let frames = 0
  for (const { runs } of lacking.values()) frames += runs.size
  return frames
}

function missingOf(store: FrameStore, key: LaneKey, runs: IntervalSet): IntervalSet {
  const lane = store.lane(key)
  if (lane === undefined) return runs
  const missing = runs.minus(lane.held)
  return lane.trimmed.isEmpty ? missing : missing.minus(lane.trimmed)
}

function addLack(lacking: Lacks, key: LaneKey, { lane, runs }: Lack): void {
  if (runs.isEmpty) return
  const known = lacking.get(key)
  if (known === undefined) lacking.set(key, { lane, runs })
  else known.runs = known.runs.or(runs)
}

/** Sequences listed as damaged, by lane. */
function damagedRuns(store: FrameStore): Map<LaneKey, IntervalSet> {
  const damaged = new Map<LaneKey, IntervalSet>()
  for (const { source, stream, epoch, sequence } of store.damaged()) {
    const key = laneKey(source, stream, epoch)
    const runs = damaged.get(key) ?? new IntervalSet()
    runs.add(sequence)
    damaged.set(key, runs)
  }
  return damaged
}
