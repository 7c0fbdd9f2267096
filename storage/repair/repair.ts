// Anti-entropy: the owners of a shard keep looking at what the others hold and pull what they lack,
// so that a store that was away, was refilled from nothing, or lost frames to a bad disk becomes
// whole again by itself. Frames are immutable and named, so pulling is a union: it can be repeated,
// cut short, or done from several stores, and never changes what is there.
//
//   every few seconds: fingerprints of our shards ─► other stores: their lanes, of shards that differ
//   ─► their runs minus ours ─► the runs missing in two looks running (a frame just in flight is not
//   missing) ─► pull ─► keep ─► what is gone for good there, and held nowhere, is learned
import { shardOf, type Clock, type StoreId, type Timer } from '../../mesh/index.ts'
import type { FrameStore } from '../frame-store.ts'
import { withDeadline } from '../query/deadline.ts'
import type { Member, RepairPeer } from '../query/peer.ts'
import type { Fingerprints } from './fingerprints.ts'
import { learnGone } from './gone.ts'
import type { IntakeCounters } from './intake.ts'
import { KnownPeer } from './known.ts'
import { Comparison, forgetHeld, framesIn, inBoth, type Lacks } from './lack.ts'
import { Refill, type RefillProgress } from './progress.ts'
import { Puller, type PullCounters, type PullOptions } from './pull.ts'
import { LANE_MEMORY_US } from '../upkeep.ts'

export interface RepairOptions extends PullOptions {
  readonly store: FrameStore
  readonly fingerprints: Fingerprints
  readonly storeId: StoreId
  /** The synced member table, with the endpoints known; this store may be among them. */
  readonly members: () => readonly Member[]
  /** Whether this store has joined: before, it may not know of all members. */
  readonly isMember: () => boolean
  readonly writeQuorum: number
  readonly ownedShards: () => readonly number[]
  readonly connect: (http: string) => RepairPeer
  readonly clock: Clock
  /** Default 5000. */
  readonly intervalMs?: number
}

export interface RepairCounters extends PullCounters, IntakeCounters {
  looks: number
  /** Lanes that other stores told of. */
  comparedLanes: number
}

const INTERVAL_MS = 5_000
const ASK_TIMEOUT_MS = 10_000
/** Lanes compared before other work gets its turn: some milliseconds. */
const LANES_PER_TURN = 2_000

/** A store that answered. */
interface Answered {
  readonly storeId: StoreId
  readonly peer: RepairPeer
  readonly known: KnownPeer
}

export class Repair {
  private readonly own = {
    looks: 0,
    comparedLanes: 0,
    failedPeers: 0,
    pulledSchemas: 0,
    rejectedFrames: 0,
  }
  private readonly options: RepairOptions
  private readonly puller: Puller
  private readonly refill: Refill
  private readonly known = new Map<StoreId, KnownPeer>()
  private readonly stopping = new AbortController()
  /** What other stores held and this one lacked at the last look, after what it pulled. */
  private lackedBefore: Lacks = new Map()
  /** The stores that answered then. */
  private answeredBefore: string | undefined
  private lackedFrames = 0
  private hasCaughtUp = false
  /** When every other store last answered. */
  private wholeLookMs: number
  private timer: Timer | undefined
  private running: Promise<void> | undefined
  private isKicked = false

  constructor(options: RepairOptions) {
    const { clock, intake } = options
    this.options = options
    this.puller = new Puller(options, this.own, this.stopping.signal)
    this.refill = new Refill(clock, intake.counters)
    this.wholeLookMs = clock.monotonicMs()
    intake.onBatch(() => this.refill.mark())
  }

  get counters(): RepairCounters {
    return { ...this.own, ...this.options.intake.counters }
  }

  /**
   * Whether this store has once had everything that enough others held at a look: N − W of them, so
   * that with itself they would make a quorum of readers. A store that is new or was refilled does not
   * count for coverage before. Until then what is missing at the first look at a store is pulled at once.
   */
  get caughtUp(): boolean {
    return this.hasCaughtUp
  }

  /** Frames that other stores hold and this one should, as far as it knows. */
  get missingFrames(): number {
    return this.progress()?.framesLeft ?? this.lackedFrames
  }

  /** Undefined while there is nothing to pull. */
  progress(): RefillProgress | undefined {
    return this.refill.progress()
  }

  /** Since every other store last answered, or since this one started. */
  get wholeLookMsAgo(): number {
    return this.options.clock.monotonicMs() - this.wholeLookMs
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
    this.own.looks += 1
    const { storeId, members, isMember, writeQuorum, store, clock } = this.options
    const isJoined = isMember()
    const current = members().filter(({ state }) => state !== 'removed')
    const others = current.filter((member) => member.storeId !== storeId)
    const answered = await this.askAll(others)
    if (answered.length === others.length) this.wholeLookMs = clock.monotonicMs()
    await this.pullSchemas(answered)
    const lacking = await this.compare(answered)
    const stores = answered.map((each) => each.storeId).join()
    const isSecond = this.hasCaughtUp || stores === this.answeredBefore
    const wanted = inBoth(lacking, isSecond ? this.lackedBefore : lacking)
    await this.pull(answered, wanted)
    forgetHeld(store, lacking)
    forgetHeld(store, wanted)
    this.lackedBefore = lacking
    this.answeredBefore = stores
    this.lackedFrames = framesIn(lacking)
    await learnGone(store, new Set(this.options.ownedShards()), knownOf(answered))
    const enough = answered.length >= current.length - writeQuorum
    if (isJoined && enough && wanted.size === 0) this.hasCaughtUp = true
  }

  private async askAll(others: readonly Member[]): Promise<Answered[]> {
    const { fingerprints } = this.options
    for (const id of this.known.keys()) {
      if (!others.some(({ storeId }) => storeId === id)) this.known.delete(id)
    }
    const own = fingerprints.all()
    const shards = this.shards()
    const answers = await Promise.all(others.map((member) => this.ask(member, own, shards)))
    return answers.filter((answer) => answer !== undefined)
  }

  /** Undefined when it does not answer, or another store does in its place. */
  private async ask(
    { storeId, http }: Member,
    own: readonly string[],
    shards: ReadonlySet<number>,
  ): Promise<Answered | undefined> {
    if (http === undefined) return undefined
    const { clock, connect } = this.options
    const known = this.known.get(storeId) ?? new KnownPeer()
    this.known.set(storeId, known)
    try {
      const peer = connect(http)
      const answer = await withDeadline(clock, ASK_TIMEOUT_MS, this.stopping.signal, (limit) =>
        peer.differences(known.request(own, shards), limit),
      )
      if (answer.storeId !== storeId) return undefined
      known.take(answer, clock.nowUs() - LANE_MEMORY_US)
      return { storeId, peer, known }
    } catch (error) {
      this.stopping.signal.throwIfAborted()
      this.own.failedPeers += 1
      this.options.onError?.(error)
      return undefined
    }
  }

  /** Shards owned, and those of damaged frames, which this store may hold without owning them. */
  private shards(): ReadonlySet<number> {
    const shards = new Set(this.options.ownedShards())
    for (const { source } of this.options.store.damaged()) shards.add(shardOf(source))
    return shards
  }

  private async compare(answered: readonly Answered[]): Promise<Lacks> {
    const { store, ownedShards, clock } = this.options
    const comparison = new Comparison(store, new Set(ownedShards()))
    let lanes = 0
    for (const { known } of answered) {
      for (const lane of known.lanes()) {
        comparison.add(lane)
        lanes += 1
        if (lanes % LANES_PER_TURN === 0) await turn(clock)
      }
    }
    this.own.comparedLanes += lanes
    return comparison.lacking
  }

  private async pullSchemas(answered: readonly Answered[]): Promise<void> {
    const { schemas } = this.options
    for (const { peer } of answered) {
      if (schemas.damaged.length === 0) return
      await this.puller.pullSchemas(peer, schemas.damaged)
    }
  }

  private async pull(answered: readonly Answered[], wanted: Lacks): Promise<void> {
    const { store } = this.options
    this.refill.look(framesIn(wanted))
    for (const { peer, known } of answered) {
      if (wanted.size === 0) return
      if (!(await this.puller.pull(peer, known.lanes(), wanted))) return
      forgetHeld(store, wanted)
      known.doubt(wanted)
    }
  }
}

function knownOf(answered: readonly Answered[]): KnownPeer[] {
  return answered.map(({ known }) => known)
}

/** Lets other work have its turn. */
async function turn(clock: Clock): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  clock.startTimer(0, resolve)
  await promise
}
