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
  NO_SCHEMA,
  readFrame,
  schemaFromFrame,
  shardOf,
  type Clock,
  type Frame,
  type LaneKey,
  type Schema,
  type SchemaId,
  type StoreId,
  type Timer,
} from '../mesh/index.ts'
import type { LaneDigest } from './coverage.ts'
import type { FrameStore, StoredFrame } from './frame-store.ts'
import { withDeadline } from './query/deadline.ts'
import { damagedRuns } from './query/digest.ts'
import type { LaneRuns, Member, RepairPeer } from './query/peer.ts'
import type { Outcome } from './writer.ts'

export interface RepairOptions {
  readonly store: FrameStore
  readonly storeId: StoreId
  /** The synced member table, with the endpoints known; this store may be among them. */
  readonly members: () => readonly Member[]
  readonly writeQuorum: number
  readonly ownedShards: () => readonly number[]
  readonly connect: (http: string) => RepairPeer
  /** Stores one frame and resolves with what became of it; after `refused` this look ends. */
  readonly keep: (stored: StoredFrame) => Promise<Outcome>
  readonly hasSchema: (id: SchemaId) => boolean
  /** Resolves once the schema is synced. */
  readonly keepSchema: (schema: Schema) => Promise<void>
  readonly clock: Clock
  /** Default 5000. */
  readonly intervalMs?: number
  readonly onError?: (error: unknown) => void
}

export interface RepairCounters {
  looks: number
  unchangedDigests: number
  failedPeers: number
  pulledFrames: number
  pulledBytes: number
  pulledSchemas: number
  /** Bytes that were no frame, or not one that was asked for. */
  rejectedFrames: number
  conflicts: number
  refusedFrames: number
}

const INTERVAL_MS = 5_000
const DIGEST_TIMEOUT_MS = 10_000
/** One page of frames: what waits in memory to be synced. */
const PAGE_BYTES = 4 * 1024 * 1024
const PAGE_LANES = 1_000
/** Lanes compared before other work gets its turn: some milliseconds. */
const LANES_PER_TURN = 2_000

/** A lane with runs that this store lacks. */
interface Lack {
  readonly lane: Omit<LaneRuns, 'runs'>
  runs: IntervalSet
}

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
  private readonly known = new Map<StoreId, KnownPeer>()
  private readonly stopping = new AbortController()
  private lackedBefore = new Map<LaneKey, Lack>()
  private hasCaughtUp = false
  private timer: Timer | undefined
  private running: Promise<void> | undefined
  private isKicked = false

  constructor(options: RepairOptions) {
    this.options = options
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
      if (!(await this.pull(peer, lanes, toPull))) break
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

  /**
   * Pulls from one store what it holds of `wanted`, and takes what came out of `wanted`. Returns
   * false when this store takes no more for now.
   */
  private async pull(
    peer: RepairPeer,
    lanes: readonly LaneDigest[],
    wanted: Map<LaneKey, Lack>,
  ): Promise<boolean> {
    const there = new Map<LaneKey, Lack>()
    if (wanted.size === 0) return true
    for (const { source, stream, epoch, held } of lanes) {
      const key = laneKey(source, stream, epoch)
      const lack = wanted.get(key)
      const runs = lack?.runs.and(new IntervalSet(held))
      if (runs === undefined || runs.isEmpty) continue
      there.set(key, { lane: { source, stream, epoch }, runs })
    }
    try {
      while (there.size > 0) {
        const page = new Map([...there].slice(0, PAGE_LANES))
        const { more, taken } = await this.pullPage(peer, page, wanted)
        if (!taken) return false
        for (const [key, { runs }] of page) {
          // What did not come although the page was whole is not to be had here.
          if (!more || runs.isEmpty) there.delete(key)
        }
      }
    } catch (error) {
      this.stopping.signal.throwIfAborted()
      this.counters.failedPeers += 1
      this.options.onError?.(error)
    }
    return true
  }

  /** One request, and everything that came synced before it returns: that is the back-pressure. */
  private async pullPage(
    peer: RepairPeer,
    page: ReadonlyMap<LaneKey, Lack>,
    wanted: Map<LaneKey, Lack>,
  ): Promise<{ more: boolean; taken: boolean }> {
    const lanes = [...page.values()].map(({ lane, runs }) => ({ ...lane, runs: runs.toRuns() }))
    const { signal } = this.stopping
    const records = peer.frames({ lanes, bytesMax: PAGE_BYTES }, signal)
    const keeping: Promise<boolean>[] = []
    /** Frames that were asked for: a peer that sends only others is not asked again. */
    let count = 0
    let more = false
    try {
      for (;;) {
        const next = await records.next()
        if (next.done === true) {
          more = next.value && count > 0
          break
        }
        const { ingestUs } = next.value
        // A copy: the record is a view into a network buffer that other frames share.
        const frame = readFrame(Buffer.from(next.value.bytes))
        const asked = typeof frame === 'string' ? undefined : page.get(frame.laneKey)
        if (typeof frame === 'string' || !asked?.runs.has(frame.sequence)) {
          this.counters.rejectedFrames += 1
          continue
        }
        count += 1
        asked.runs = asked.runs.minus(new IntervalSet([frame.sequence, frame.sequence]))
        if (!(await this.knowsSchema(peer, frame))) continue
        keeping.push(this.keep({ frame, ingestUs }, wanted))
      }
    } finally {
      await records.return(false)
      await Promise.allSettled(keeping)
    }
    const kept = await Promise.all(keeping)
    return { more, taken: kept.every(Boolean) }
  }

  private async keep(stored: StoredFrame, wanted: Map<LaneKey, Lack>): Promise<boolean> {
    const { frame } = stored
    const outcome = await this.options.keep(stored)
    if (outcome === 'refused') {
      this.counters.refusedFrames += 1
      return false
    }
    if (outcome === 'conflict') this.counters.conflicts += 1
    if (outcome === 'stored') {
      this.counters.pulledFrames += 1
      this.counters.pulledBytes += frame.bytes.length
    }
    const lack = wanted.get(frame.laneKey)
    if (lack !== undefined) {
      lack.runs = lack.runs.minus(new IntervalSet([frame.sequence, frame.sequence]))
      if (lack.runs.isEmpty) wanted.delete(frame.laneKey)
    }
    return true
  }

  /** No frame is kept before its schema is. */
  private async knowsSchema(peer: RepairPeer, { schemaId }: Frame): Promise<boolean> {
    const { hasSchema, keepSchema } = this.options
    if (schemaId === NO_SCHEMA || hasSchema(schemaId)) return true
    const bytes = await peer.schema(schemaId, this.stopping.signal)
    const frame = bytes && readFrame(bytes)
    if (frame === undefined || typeof frame === 'string') return false
    const schema = schemaFromFrame(frame)
    if (schema.id !== schemaId) return false
    await keepSchema(schema)
    this.counters.pulledSchemas += 1
    return true
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
