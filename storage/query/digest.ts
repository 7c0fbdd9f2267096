// What a store tells others of what it knows: one line per lane, a few runs each. Askers compare
// these to plan their reads and to say what is missing; repair, to find what to pull.
import { IntervalSet, laneKey, shardOf } from '../../mesh/index.ts'
import type { LaneDigest } from '../coverage.ts'
import type { FrameStore, LaneRecord } from '../frame-store.ts'
import type { DigestRequest } from './peer.ts'

/**
 * The digest of the lanes that pass every filter given. Damaged frames are left out: a store has
 * what it can serve. Cost: one pass over all lanes, about a microsecond each.
 */
export function storeDigest(store: FrameStore, filter: DigestRequest): LaneDigest[] {
  const sources = filter.sources && new Set(filter.sources)
  const shards = filter.shards && new Set(filter.shards)
  const damaged = damagedRuns(store)
  const digest: LaneDigest[] = []
  for (const lane of store.lanes()) {
    if (filter.stream !== undefined && lane.stream !== filter.stream) continue
    if (sources !== undefined && !sources.has(lane.source)) continue
    if (shards !== undefined && !shards.has(shardOf(lane.source))) continue
    digest.push(laneDigest(lane, damaged.get(lane.key)))
  }
  return digest
}

/** Names of the streams a store holds data of, sorted. */
export function storeStreams(store: FrameStore): string[] {
  const streams = new Set<string>()
  for (const lane of store.lanes()) if (lane.sampleCount > 0) streams.add(lane.stream)
  return [...streams].sort()
}

function laneDigest(lane: LaneRecord, damaged: IntervalSet | undefined): LaneDigest {
  const held = damaged === undefined ? lane.held : lane.held.minus(damaged)
  return {
    source: lane.source,
    stream: lane.stream,
    epoch: lane.epoch,
    held: held.toRuns(),
    skipped: lane.skipped.toRuns(),
    trimmed: lane.trimmed.toRuns(),
    ...(lane.ended !== undefined && { ended: lane.ended }),
    lastIngestUs: lane.lastIngestUs,
  }
}

/** Sequences listed as damaged, by lane key. */
export function damagedRuns(store: FrameStore): Map<string, IntervalSet> {
  const damaged = new Map<string, IntervalSet>()
  for (const { source, stream, epoch, sequence } of store.damaged()) {
    const key = laneKey(source, stream, epoch)
    const runs = damaged.get(key) ?? new IntervalSet()
    runs.add(sequence)
    damaged.set(key, runs)
  }
  return damaged
}
