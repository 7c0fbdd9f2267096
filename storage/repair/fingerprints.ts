// One number per shard that says what a store knows of it: equal numbers at two stores mean that neither
// has anything for the other, so an idle mesh exchanges only these. A shard's number is the XOR of those
// of its lanes, and a lane's is worked out again only when the lane has changed.
import { shardOf, SHARDS, type IntervalSet, type LaneKey } from '../../mesh/index.ts'
import type { FrameStore, LaneRecord } from '../frame-store.ts'

interface LaneHash {
  readonly shard: number
  /** The hash of the key alone, which the rest is mixed into. */
  readonly seed: Hash
  changedAt: number
  hash: Hash
}

export class Fingerprints {
  private readonly store: FrameStore
  private readonly lanes = new WeakMap<LaneRecord, LaneHash>()
  private shards: readonly string[] = []
  private version = -1

  constructor(store: FrameStore) {
    this.store = store
  }

  /**
   * By shard, 16 hex digits each. Cost: 0.05 µs for each lane, 0.4 µs for one that changed, 5 µs for one
   * that is new.
   */
  all(): readonly string[] {
    if (this.version === this.store.version) return this.shards
    const sums = Array.from({ length: SHARDS }, () => new Hash())
    for (const lane of this.store.lanes()) {
      const { shard, hash } = this.hashOf(lane)
      sums[shard]!.high ^= hash.high
      sums[shard]!.low ^= hash.low
    }
    this.shards = sums.map(String)
    this.version = this.store.version
    return this.shards
  }

  /** As the function of that name, which costs two microseconds, for a lane of this store. */
  shardOf(lane: LaneRecord): number {
    return this.hashOf(lane).shard
  }

  private hashOf(lane: LaneRecord): LaneHash {
    let known = this.lanes.get(lane)
    if (known === undefined) {
      const seed = keyHash(lane.key)
      known = { shard: shardOf(lane.source), seed, changedAt: -1, hash: seed }
      this.lanes.set(lane, known)
    }
    if (known.changedAt !== lane.changedAt) {
      known.hash = laneHash(lane, known.seed)
      known.changedAt = lane.changedAt
    }
    return known
  }
}

/** Nothing for a lane of which nothing is known but its name: others may not even know that. */
function laneHash({ held, trimmed, skipped, ended = 0 }: LaneRecord, seed: Hash): Hash {
  const hash = new Hash()
  if (held.isEmpty && trimmed.isEmpty && skipped.isEmpty) return hash
  hash.high = seed.high
  hash.low = seed.low
  hash.addSet(held)
  hash.addSet(trimmed)
  // A held frame beats a skip: whether its skip is known as well makes no difference.
  hash.addSet(skipped.isEmpty ? skipped : skipped.minus(held))
  hash.addNumber(ended)
  hash.finish()
  return hash
}

function keyHash(key: LaneKey): Hash {
  const hash = new Hash()
  for (let i = 0; i < key.length; i++) hash.addWord(key.charCodeAt(i))
  return hash
}

const U32 = 0x1_0000_0000

/** 64 bits in two halves, each mixed by its own multiplier (those of xxHash32) and then by the other. */
class Hash {
  high = 0
  low = 0

  addWord(word: number): void {
    const high = Math.imul(this.high ^ word, 0x9e3779b1)
    this.high = (high << 13) | (high >>> 19)
    const low = Math.imul(this.low ^ word, 0x85ebca77)
    this.low = (low << 15) | (low >>> 17)
  }

  addNumber(number: number): void {
    this.addWord(number % U32)
    this.addWord(Math.floor(number / U32))
  }

  addSet(set: IntervalSet): void {
    this.addWord(set.runCount)
    for (const number of set.toRuns()) this.addNumber(number)
  }

  /** Every bit depends on every bit: lanes are put together by XOR. */
  finish(): void {
    const high = Math.imul(this.high ^ (this.low >>> 16), 0xc2b2ae3d)
    const low = Math.imul(this.low ^ (high >>> 15), 0x27d4eb2f)
    this.high = Math.imul(high ^ (low >>> 13), 0x85ebca6b)
    this.low = low ^ (this.high >>> 16)
  }

  toString(): string {
    return hex(this.high) + hex(this.low)
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}
