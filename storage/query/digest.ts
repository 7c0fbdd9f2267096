// What a store tells others of what it knows: one line per lane, a few runs each. Askers compare
// these to plan their reads and to say what is missing; repair, to find what to pull.
import { shardOf, type IntervalSet } from '../../mesh/index.ts'
import type { LaneDigest } from '../coverage.ts'
import type { FrameStore, LaneRecord } from '../frame-store.ts'
import type { Fingerprints } from '../repair/fingerprints.ts'
import type { DigestRequest, KnownShard, ShardDifference } from './peer.ts'

const NONE: readonly number[] = []

/**
 * The digest of the lanes that pass every filter given. Cost: about a microsecond for each lane of the
 * sources named with a stream, else for each lane of the store.
 */
export function storeDigest(store: FrameStore, filter: DigestRequest): LaneDigest[] {
  const shards = filter.shards && new Set(filter.shards)
  const digest: LaneDigest[] = []
  for (const lane of candidates(store, filter)) {
    if (shards !== undefined && !shards.has(shardOf(lane.source))) continue
    digest.push(laneDigest(lane))
  }
  return digest
}

function* candidates(
  store: FrameStore,
  { stream, sources }: DigestRequest,
): IterableIterator<LaneRecord> {
  const wanted = sources && new Set(sources)
  if (stream !== undefined && wanted !== undefined) {
    for (const source of wanted) yield* store.lanesOf(stream, source)
    return
  }
  for (const lane of store.lanes()) {
    if (stream !== undefined && lane.stream !== stream) continue
    if (wanted === undefined || wanted.has(lane.source)) yield lane
  }
}

/**
 * The lanes of the shards whose fingerprints differ from the asker's, each since the version that the
 * asker knows it of. Cost: as storeDigest, when any differs.
 */
export function storeDifferences(
  store: FrameStore,
  fingerprints: Fingerprints,
  asked: readonly KnownShard[],
): ShardDifference[] {
  const own = fingerprints.all()
  const differing = new Map<number, { since: number; lanes: LaneDigest[] }>()
  for (const { shard, fingerprint, since = -1 } of asked) {
    if (own[shard] !== fingerprint) differing.set(shard, { since, lanes: [] })
  }
  if (differing.size === 0) return []
  for (const lane of store.lanes()) {
    const found = differing.get(fingerprints.shardOf(lane))
    if (found !== undefined && lane.changedAt > found.since) found.lanes.push(laneDigest(lane))
  }
  return [...differing].map(([shard, { lanes }]) => ({ shard, lanes }))
}

/** Names of the streams a store holds data of, sorted. */
export function storeStreams(store: FrameStore): string[] {
  const streams = new Set<string>()
  for (const lane of store.lanes()) if (lane.sampleCount > 0) streams.add(lane.stream)
  return [...streams].sort()
}

/** The same object until the lane changes: of a fleet few do between two questions. */
function laneDigest(lane: LaneRecord): LaneDigest {
  const known = digests.get(lane)
  if (known?.changedAt === lane.changedAt) return known.digest
  const digest = makeDigest(lane)
  digests.set(lane, { changedAt: lane.changedAt, digest })
  return digest
}

const digests = new WeakMap<LaneRecord, { changedAt: number; digest: LaneDigest }>()

function makeDigest(lane: LaneRecord): LaneDigest {
  return {
    source: lane.source,
    stream: lane.stream,
    epoch: lane.epoch,
    held: lane.held.toRuns(),
    skipped: runsOf(lane.skipped),
    trimmed: runsOf(lane.trimmed),
    ...(lane.ended !== undefined && { ended: lane.ended }),
    lastIngestUs: lane.lastIngestUs,
  }
}

/** Without an array of its own for each of ten thousand lanes that have none. */
function runsOf(set: IntervalSet): readonly number[] {
  return set.isEmpty ? NONE : set.toRuns()
}
