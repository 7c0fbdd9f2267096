// Anti-entropy: the owners of a shard keep looking at what the others hold and pull what they lack,
// so that a store that was away, was refilled from nothing, or lost frames to a bad disk becomes
// whole again by itself. Frames are immutable and named, so pulling is a union: it can be repeated,
// cut short, or done from several stores, and never changes what is there.
//
//   every few seconds: digests of the other stores ─► their runs minus ours ─► the runs missing in
//   two looks running (a frame just in flight is not missing) ─► pull, page by page ─► keep
import {
  IntervalSet,
  laneKey,
  shardOf,
  type Clock,
  type LaneKey,
  type StoreId,
  type Timer,
} from '../mesh/index.ts'
import type { LaneDigest } from './coverage.ts'
import type { FrameStore } from './frame-store.ts'
import { withDeadline } from './query/deadline.ts'
import { damagedRuns } from './query/digest.ts'
import type { Member, RepairPeer } from './query/peer.ts'
import { Puller, type Lack, type PullCounters, type PullOptions } from './repair-pull.ts'

export interface RepairOptions extends PullOptions {
  readonly store: FrameStore
  readonly storeId: StoreId
  /** The synced member table, with the endpoints known; this store may be among them. */
  readonly members: () => readonly Member[]
  readonly writeQuorum: number
  readonly ownedShards: () => readonly number[]
  readonly connect: (http: string) => RepairPeer
  readonly clock: Clock
  /** Default 5000. */
  readonly intervalMs?: number
}

export interface RepairCounters extends PullCounters {
  looks: number
  unchangedDigests: number
}

const INTERVAL_MS = 5_000
const DIGEST_TIMEOUT_MS = 10_000
/** Lanes compared before other work gets its turn: some milliseconds. */
const LANES_PER_TURN = 2_000

interface KnownPeer {
  readonly version: string
  readonly shards: string
  readonly lanes: readonly LaneDigest[]
}

export class Repair {
  readonly counters: RepairCounters = {
    looks: 0,
    unchangedDigests: 0,
    failedPeers: 0,
    pulledFrames: 0,
    pulledBytes: 0,
    pulledSchemas: 0,
    rejectedFrames: 0,
    conflicts: 0,
    refusedFrames: 0,
  }
  /** Sequences other stores hold and this one lacked at the last look, after what it pulled. */
  missingFrames = 0
  private readonly options: RepairOptions
  private readonly puller: Puller
  private readonly known = new Map<StoreId, KnownPeer>()
  private readonly stopping = new AbortController()
  private lackedBefore = new Map<LaneKey, Lack>()
  private hasCaughtUp = false
  private timer: Timer | undefined
  private running: Promise<void> | undefined
  private isKicked = false

  constructor(options: RepairOptions) {
    this.options = options
    this.puller = new Puller(options, this.counters, this.stopping.signal)
  }

  /**
   * Whether this store has once had everything that enough others hold: N − W of them, so that with
   * itself they would make a quorum of readers. A store that is new or was refilled does not count
   * for coverage before. Until then whatever is missing is pulled at once.
   */
  get caughtUp(): boolean {
    return this.hasCaughtUp
  }

  start(): void {
    this.kick()
  }

  /** Looks now, or once more when the look under way is done. */
  kick(): void {
    if (this.stopping.signal.aborted) return
    this.timer?.cancel()
    this.isKicked = true
    this.running ??= this.run()
  }

  async stop(): Promise<void> {
    this.stopping.abort(new Error('repair is stopping'))
    this.timer?.cancel()
    await this.running
  }

  private async run(): Promise<void> {
    while (this.isKicked && !this.stopping.signal.aborted) {
      this.isKicked = false
      try {
        await this.look()
      } catch (error) {
        if (!this.stopping.signal.aborted) this.options.onError?.(error)
      }
    }
    this.running = undefined
    const { clock, intervalMs = INTERVAL_MS } = this.options
    if (!this.stopping.signal.aborted) {
      this.timer = clock.startTimer(intervalMs, () => this.kick())
    }
  }

  /** One round over all other stores. */
  private async look(): Promise<void> {
    this.counters.looks += 1
    const { storeId, members, writeQuorum } = this.options
    const current = members().filter(({ state }) => state !== 'removed')
    const others = current.filter((member) => member.storeId !== storeId)
    const answered = (await Promise.all(others.map((member) => this.ask(member)))).filter(
      (peer) => peer !== undefined,
    )
    const lacking = new Map<LaneKey, Lack>()
    for (const { lanes } of answered) await this.compare(lanes, lacking)
    const toPull = inBoth(lacking, this.hasCaughtUp ? this.lackedBefore : lacking)
    for (const { peer, lanes } of answered) {
      if (!(await this.puller.pull(peer, lanes, toPull))) break
    }
    this.forgetHeld(lacking)
    this.lackedBefore = lacking
    this.missingFrames = [...lacking.values()].reduce((sum, { runs }) => sum + runs.size, 0)
    const enough = answered.length >= current.length - writeQuorum
    if (enough && this.missingFrames === 0) this.hasCaughtUp = true
  }

  /** The lanes another store has of the shards that concern us; undefined when it does not answer. */
  private async ask(
    member: Member,
  ): Promise<{ peer: RepairPeer; lanes: readonly LaneDigest[] } | undefined> {
    if (member.http === undefined) return undefined
    const { clock, connect } = this.options
    const peer = connect(member.http)
    const shards = this.shards()
    const shardText = shards.join()
    const known = this.known.get(member.storeId)
    const have = known?.shards === shardText ? known.version : undefined
    try {
      const { signal } = this.stopping
      const answer = await withDeadline(clock, DIGEST_TIMEOUT_MS, signal, (limit) =>
        peer.digest({ shards, have }, limit),
      )
      if (answer.unchanged && known !== undefined) {
        this.counters.unchangedDigests += 1
        return { peer, lanes: known.lanes }
      }
      const { version, lanes } = answer
      this.known.set(answer.storeId, { version, shards: shardText, lanes })
      return { peer, lanes }
    } catch (error) {
      this.stopping.signal.throwIfAborted()
      this.counters.failedPeers += 1
      this.options.onError?.(error)
      return undefined
    }
  }

  /** Shards owned, and those of damaged frames, which this store may hold without owning them. */
  private shards(): number[] {
    const shards = new Set(this.options.ownedShards())
    for (const { source } of this.options.store.damaged()) shards.add(shardOf(source))
    return [...shards].sort((a, b) => a - b)
  }

  /** Adds to `lacking` what these lanes hold and this store does not. */
  private async compare(lanes: readonly LaneDigest[], lacking: Map<LaneKey, Lack>): Promise<void> {
    const owned = new Set(this.options.ownedShards())
    const damaged = damagedRuns(this.options.store)
    for (const [at, { source, stream, epoch, held }] of lanes.entries()) {
      if (at % LANES_PER_TURN === LANES_PER_TURN - 1) await turn(this.options.clock)
      const key = laneKey(source, stream, epoch)
      const spoilt = damaged.get(key)
      let runs = new IntervalSet(held).minus(this.heldRuns(key, spoilt))
      if (runs.isEmpty) continue
      if (!owned.has(shardOf(source))) runs = runs.and(spoilt ?? new IntervalSet())
      addLack(lacking, key, { lane: { source, stream, epoch }, runs })
    }
  }

  /** What this store can serve of a lane. */
  private heldRuns(key: LaneKey, damaged: IntervalSet | undefined): IntervalSet {
    const held = this.options.store.lane(key)?.held ?? new IntervalSet()
    return damaged === undefined ? held : held.minus(damaged)
  }

  /** Takes out what has arrived since, by repair or otherwise. */
  private forgetHeld(lacking: Map<LaneKey, Lack>): void {
    const damaged = damagedRuns(this.options.store)
    for (const [key, lack] of lacking) {
      lack.runs = lack.runs.minus(this.heldRuns(key, damaged.get(key)))
      if (lack.runs.isEmpty) lacking.delete(key)
    }
  }
}

function addLack(lacking: Map<LaneKey, Lack>, key: LaneKey, lack: Lack): void {
  if (lack.runs.isEmpty) return
  const known = lacking.get(key)
  if (known === undefined) lacking.set(key, lack)
  else known.runs = known.runs.or(lack.runs)
}

/** What is in both looks. */
function inBoth(
  now: ReadonlyMap<LaneKey, Lack>,
  before: ReadonlyMap<LaneKey, Lack>,
): Map<LaneKey, Lack> {
  const both = new Map<LaneKey, Lack>()
  for (const [key, { lane, runs }] of now) {
    const earlier = before.get(key)
    if (earlier !== undefined) addLack(both, key, { lane, runs: runs.and(earlier.runs) })
  }
  return both
}

/** Lets other work have its turn. */
async function turn(clock: Clock): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  clock.startTimer(0, resolve)
  await promise
}
