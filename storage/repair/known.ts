// What this store knows of another one's lanes, kept from look to look, so that only what changed there
// has to travel. A shard that is equal at both is not told again: what is known of it is as old as the
// version it was last told of.
import { IntervalSet, laneKey, type Lane, type LaneKey } from '../../mesh/index.ts'
import type { LaneDigest } from '../coverage.ts'
import type { DifferencesAnswer, DifferencesRequest } from '../query/peer.ts'
import type { Lacks } from './lack.ts'

export interface KnownLane extends Lane {
  readonly key: LaneKey
  readonly shard: number
  readonly held: IntervalSet
  readonly trimmed: IntervalSet
  readonly skipped: IntervalSet
  readonly ended: number | undefined
  readonly lastIngestUs: number
}

interface KnownShard {
  version: number
  readonly lanes: Map<LaneKey, KnownLane>
}

export class KnownPeer {
  private life: string | undefined
  private readonly shards = new Map<number, KnownShard>()
  /** The shards that differed when it was last asked. */
  private differing: readonly number[] = []
  /** The shards to ask for anew. */
  private readonly doubted = new Set<number>()

  /** What to ask it, given this store's own fingerprints of the shards that concern it. */
  request(fingerprints: readonly string[], asked: ReadonlySet<number>): DifferencesRequest {
    for (const shard of this.shards.keys()) {
      if (!asked.has(shard) || this.doubted.has(shard)) this.shards.delete(shard)
    }
    this.doubted.clear()
    const shards = [...asked].map((shard) => {
      const since = this.shards.get(shard)?.version
      return { shard, fingerprint: fingerprints[shard]!, since }
    })
    return { life: this.life, shards }
  }

  /** Lanes of which nothing is held and nothing new came since `beforeUs` are forgotten, as stores do. */
  take({ life, version, shards }: DifferencesAnswer, beforeUs: number): void {
    if (life !== this.life) this.shards.clear()
    this.life = life
    for (const { shard, lanes } of shards) {
      const known = this.shards.get(shard) ?? { version, lanes: new Map<LaneKey, KnownLane>() }
      known.version = version
      for (const lane of lanes) {
        const taken = knownLane(lane, shard)
        known.lanes.set(taken.key, taken)
      }
      this.shards.set(shard, known)
    }
    this.differing = shards.map(({ shard }) => shard)
    this.forget(beforeUs)
  }

  /** Its lanes in the shards that differ: in the others it has nothing that this store has not. */
  *lanes(): IterableIterator<KnownLane> {
    for (const shard of this.differing) yield* this.shards.get(shard)!.lanes.values()
  }

  /** As `lanes`, for one of them. */
  lane({ key, shard }: KnownLane): KnownLane | undefined {
    return this.differing.includes(shard) ? this.shards.get(shard)?.lanes.get(key) : undefined
  }

  /**
   * What did not come although this was known to hold it: it may hold it no more, and have said so
   * while the shard was equal. It will be asked for all of those shards.
   */
  doubt(lacking: Lacks): void {
    for (const lane of this.lanes()) {
      const lack = lacking.get(lane.key)
      if (lack !== undefined && !lack.runs.and(lane.held).isEmpty) this.doubted.add(lane.shard)
    }
  }

  private forget(beforeUs: number): void {
    for (const { lanes } of this.shards.values()) {
      for (const [key, { held, lastIngestUs }] of lanes) {
        if (held.isEmpty && lastIngestUs < beforeUs) lanes.delete(key)
      }
    }
  }
}

function knownLane(
  { held, trimmed, skipped, ended, ...lane }: LaneDigest,
  shard: number,
): KnownLane {
  return {
    ...lane,
    shard,
    key: laneKey(lane.source, lane.stream, lane.epoch),
    held: setOf(held),
    trimmed: setOf(trimmed),
    skipped: setOf(skipped),
    ended,
  }
}

/** Most lanes have nothing trimmed or skipped: one set does for all of them. */
const NOTHING = new IntervalSet()

function setOf(runs: readonly number[]): IntervalSet {
  return runs.length === 0 ? NOTHING : new IntervalSet(runs)
}
