// Gets sealed frames to their stores and to live subscribers, and learns from acks which are done.
// Decides who gets what (docs/delivery.md §4); knows nothing of samples.
import { ACK_LEVELS, readAck, type Ack, type AckLevel } from '../ack.ts'
import type { Clock } from '../clock.ts'
import { MeshError } from '../errors.ts'
import type { Membership, MeshIdentity } from '../membership.ts'
import { SUSPECT_AFTER_MS } from '../membership.ts'
import { encodeMessage, MESSAGE_BYTES_TARGET } from '../message.ts'
import type { StoreId } from '../names.ts'
import { rankStores, sendTargets, SHARDS } from '../placement.ts'
import type { SchemaExchange } from '../schema-exchange.ts'
import { ackTopic, backlogTopic } from '../topic.ts'
import { isPeerTransport, type Message, type PeerTransport, type Transport } from '../transport.ts'
import { isPending, type Entry } from './entry.ts'
import type { OutgoingLane } from './lane.ts'
import type { Outbox } from './outbox.ts'
import { GRANT_BYTES_MAX, StoreQueue } from './store-queue.ts'

/** How often unacknowledged frames are looked at. */
export const RETRY_CHECK_MS = 100
/**
 * How far live copies go ahead of the stores' copies. They share the cores: without it a live reader
 * waits for the stores' threads (p50 240 µs instead of 195, where a receipt takes 800). Too short for a
 * timer, so the event loop goes round until it is over; a busy one does not notice.
 */
const HEAD_START_MS = 0.12
/** The most rounds, for a clock that stands still. */
const HEAD_START_TURNS = 128
/** Waiting entries of one store beyond which finished ones are swept out. */
const PRUNE_AT = 4096

export interface SenderOptions {
  readonly mesh: MeshIdentity
  readonly transport: Transport
  readonly membership: Membership
  readonly clock: Clock
  readonly schemas: SchemaExchange
  readonly outbox: Outbox
  readonly level: AckLevel
  readonly laneByKey: (key: OutgoingLane['key']) => OutgoingLane | undefined
  readonly onDone: (entry: Entry) => void
  readonly onConflict: (entry: Entry) => void
  /** The outbox log could not give the frame back. */
  readonly onDamaged: (entry: Entry) => void
}

interface FreshMessage {
  readonly topic: string
  readonly entries: readonly Entry[]
  readonly bytes: Buffer
}

export interface SenderCounters {
  framesSent: number
  framesRepeated: number
  acks: number
  conflicts: number
  rejectedAcks: number
}

export class Sender {
  readonly counters: SenderCounters = {
    framesSent: 0,
    framesRepeated: 0,
    acks: 0,
    conflicts: 0,
    rejectedAcks: 0,
  }
  private readonly options: SenderOptions
  private readonly links: PeerTransport | undefined
  private readonly queues = new Map<StoreId, StoreQueue>()
  private readonly targetsByShard = new Map<number, StoreQueue[]>()
  private readonly unlinkedSinceMs = new Map<StoreId, number>()
  /** Members whose word counts towards W: not those leaving or removed. */
  private counted: ReadonlySet<StoreId> = new Set()
  private usable = 0
  private view = ''
  /** Published live, and not yet sent to their stores. */
  private fresh: FreshMessage[] = []
  private stopped = false

  constructor(options: SenderOptions) {
    this.options = options
    this.links = isPeerTransport(options.transport) ? options.transport : undefined
  }

  async start(): Promise<void> {
    const { transport } = this.options
    const topic = ackTopic(transport.peerId)
    await transport.subscribe(topic, (batch) => this.receiveAcks(batch), 'directed')
    this.links?.onLink(() => this.refresh())
    this.refresh()
  }

  /** Sends and answers nothing more. */
  stop(): void {
    this.stopped = true
  }

  /** Sends frames sealed in this turn: one message per topic, to each store with room and to live subscribers. */
  send(entries: readonly Entry[]): void {
    if (this.stopped) return
    const byTopic = new Map<string, Entry[]>()
    for (const entry of entries) {
      const group = byTopic.get(entry.lane.topic)
      if (group === undefined) byTopic.set(entry.lane.topic, [entry])
      else group.push(entry)
    }
    for (const [topic, group] of byTopic) {
      for (const part of messageParts(group)) this.sendFresh(topic, part)
    }
  }

  /** Sends frames that waited out an outage: to owners only, beside what is fresh. */
  sendBacklog(entries: readonly Entry[]): void {
    for (const entry of entries) {
      entry.isHanded = true
      if (entry.state !== 'pending') continue
      for (const queue of this.targets(entry.lane.shard)) {
        if (!entry.queues.includes(queue)) queue.pushBacklog(entry)
      }
    }
    this.pump()
  }

  /** Sends again what is due, sweeps, and notices links that never came up. Call every RETRY_CHECK_MS. */
  tick(): void {
    const now = this.options.clock.monotonicMs()
    for (const queue of this.queues.values()) {
      this.counters.framesRepeated += queue.expire(now)
      if (queue.waiting > PRUNE_AT) queue.prune()
    }
    this.refresh()
  }

  /** Looks at the stores again; when who gets what has changed, sends pending frames where they now belong. */
  refresh(): void {
    if (this.stopped) return
    const { mesh, membership } = this.options
    const table = membership.members()
    const usable = new Set<StoreId>()
    for (const { storeId, peer, suspect, leaving, refusing, grantBytes } of membership.stores()) {
      const queue = this.queueOf(storeId)
      const linked = peer !== undefined && (this.links?.linked().has(peer) ?? true)
      queue.peer = linked && !suspect ? peer : undefined
      if (grantBytes !== undefined && queue.ackMs === 0) {
        queue.grantBytes = Math.min(grantBytes, GRANT_BYTES_MAX)
      }
      const able = !leaving && !suspect && refusing === undefined
      if (able && !this.isUnreachable(storeId, linked)) usable.add(storeId)
    }
    const candidates = [...table].filter(([, state]) => state === 'member').map(([id]) => id)
    this.counted = new Set(candidates)
    this.forgetRemoved()
    this.usable = usable.size
    const view = JSON.stringify([candidates.sort(), [...usable].sort()])
    if (view !== this.view) {
      this.view = view
      this.retarget(candidates, usable, mesh.replicas)
    }
    this.pump()
  }

  /** Stores that could take a frame now. */
  get usableStores(): number {
    return this.usable
  }

  /** Stores that would get this shard's frames now. */
  targets(shard: number): readonly StoreQueue[] {
    return this.targetsByShard.get(shard) ?? []
  }

  stores(): readonly StoreQueue[] {
    return [...this.queues.values()]
  }

  /** Live first: whoever watches should not wait for the disks' copies. */
  private sendFresh(topic: string, sealed: readonly Entry[]): void {
    const { transport, mesh, schemas, clock } = this.options
    const frames = sealed.flatMap((entry) => this.bytesOf(entry) ?? [])
    const entries = sealed.filter(isPending)
    if (entries.length === 0) return
    const bytes = encodeMessage(mesh.id, transport.peerId, frames)
    for (const { schemaId } of entries) schemas.publishLive(schemaId)
    transport.publish(topic, bytes)
    this.fresh.push({ topic, entries, bytes })
    if (this.fresh.length > 1) return
    // Nothing queued: nobody watches.
    if (transport.queuedBytes() === 0) this.sendToOwners()
    else this.afterHeadStart(clock.monotonicMs(), HEAD_START_TURNS)
  }

  private afterHeadStart(sinceMs: number, turns: number): void {
    setImmediate(() => {
      const isOver = this.options.clock.monotonicMs() - sinceMs >= HEAD_START_MS
      if (isOver || turns === 0) this.sendToOwners()
      else this.afterHeadStart(sinceMs, turns - 1)
    })
  }

  private sendToOwners(): void {
    const messages = this.fresh
    this.fresh = []
    if (this.stopped) return
    const { transport, schemas, clock } = this.options
    const now = clock.monotonicMs()
    for (const { topic, entries, bytes } of messages) {
      const size = entries.reduce((sum, entry) => sum + entry.size, 0)
      for (const entry of entries) entry.isHanded = true
      for (const queue of this.targets(entries[0]!.lane.shard)) {
        if (queue.hasRoom(size)) {
          for (const { schemaId } of entries) schemas.sendTo(queue.peer!, schemaId)
          transport.publish(topic, bytes, queue.peer)
          for (const entry of entries) queue.markSent(entry, now)
          this.counters.framesSent += entries.length
        } else {
          for (const entry of entries) queue.pushFresh(entry)
        }
      }
    }
  }

  /** Sends what waits, as far as grants go: fresh frames first, then backlog. */
  private pump(): void {
    for (const queue of this.queues.values()) {
      if (queue.peer === undefined || queue.waiting === 0) continue
      this.pumpQueue(
        queue,
        () => queue.takeFresh(),
        (entry) => entry.lane.topic,
      )
      this.pumpQueue(
        queue,
        () => queue.takeBacklog(),
        (entry) => backlogTopic(entry.lane.shard),
      )
    }
  }

  private pumpQueue(
    queue: StoreQueue,
    take: () => Entry | undefined,
    topicOf: (entry: Entry) => string,
  ): void {
    const { transport, mesh, schemas, clock } = this.options
    const now = clock.monotonicMs()
    let topic = ''
    let frames: Buffer[] = []
    let size = 0
    const flush = (): void => {
      if (frames.length === 0) return
      transport.publish(topic, encodeMessage(mesh.id, transport.peerId, frames), queue.peer)
      frames = []
      size = 0
    }
    for (let entry = take(); entry !== undefined; entry = take()) {
      const bytes = this.bytesOf(entry)
      if (bytes === undefined) continue
      const entryTopic = topicOf(entry)
      if (entryTopic !== topic || size + entry.size > MESSAGE_BYTES_TARGET) flush()
      topic = entryTopic
      schemas.sendTo(queue.peer!, entry.schemaId)
      frames.push(bytes)
      size += entry.size
      queue.markSent(entry, now)
      this.counters.framesSent += 1
    }
    flush()
  }

  private bytesOf(entry: Entry): Buffer | undefined {
    try {
      return this.options.outbox.bytesOf(entry)
    } catch (error) {
      if (!(error instanceof MeshError) || error.code !== 'MESH_OUTBOX_DAMAGED') throw error
      this.options.onDamaged(entry)
      return undefined
    }
  }

  private receiveAcks(batch: readonly Message[]): void {
    if (this.stopped) return
    for (const { bytes } of batch) {
      const ack = readAck(bytes, this.options.mesh.id)
      if (ack === undefined) this.counters.rejectedAcks += 1
      else this.acknowledge(ack)
    }
    this.pump()
  }

  private acknowledge(ack: Ack): void {
    const { level, laneByKey, onConflict, clock } = this.options
    const now = clock.monotonicMs()
    const queue = this.queues.get(ack.storeId)
    if (queue === undefined) {
      // No store of this mesh that anybody has told us of: nothing was sent to it.
      this.counters.rejectedAcks += 1
      return
    }
    this.counters.acks += 1
    queue.grantBytes = Math.min(ack.grantBytes, GRANT_BYTES_MAX)
    for (const { lane: key, sequence } of ack.conflicts) {
      const entry = laneByKey(key)?.entry(sequence)
      if (entry === undefined || entry.state !== 'pending') continue
      this.counters.conflicts += 1
      onConflict(entry)
    }
    if (ACK_LEVELS.indexOf(ack.level) < ACK_LEVELS.indexOf(level)) return
    for (const { lane: key, runs } of ack.lanes) {
      for (const entry of laneByKey(key)?.acknowledge(ack.storeId, runs) ?? []) {
        queue.acknowledged(entry, now)
        entry.heldBy.push(ack.storeId)
        if (entry.state === 'pending' && this.isStored(entry)) this.options.onDone(entry)
      }
    }
  }

  private isStored(entry: Entry): boolean {
    let stores = 0
    for (const storeId of entry.heldBy) if (this.counted.has(storeId)) stores += 1
    return stores >= this.options.mesh.writeQuorum
  }

  private retarget(candidates: StoreId[], usable: ReadonlySet<StoreId>, replicas: number): void {
    for (const queue of this.queues.values()) if (!usable.has(queue.storeId)) queue.clear()
    this.targetsByShard.clear()
    const targetsOf = (shard: number): readonly StoreQueue[] => {
      let targets = this.targetsByShard.get(shard)
      if (targets === undefined) {
        const ranking = rankStores(shard, candidates)
        const chosen = sendTargets(ranking, replicas, (storeId) => !usable.has(storeId))
        targets = chosen.map((storeId) => this.queueOf(storeId))
        this.targetsByShard.set(shard, targets)
      }
      return targets
    }
    for (let shard = 0; shard < SHARDS; shard++) targetsOf(shard)
    for (const entry of this.options.outbox.pending()) {
      if (!entry.isHanded) continue
      for (const queue of targetsOf(entry.lane.shard)) {
        if (entry.queues.includes(queue) || entry.heldBy.includes(queue.storeId)) continue
        queue.pushBacklog(entry)
      }
    }
  }

  /** Stores that were removed get nothing more, and nothing waits for them. */
  private forgetRemoved(): void {
    const table = this.options.membership.members()
    for (const [storeId, queue] of this.queues) {
      if (table.has(storeId) && table.get(storeId) !== 'removed') continue
      queue.clear()
      this.queues.delete(storeId)
      this.unlinkedSinceMs.delete(storeId)
    }
  }

  /** Known by hearsay, but no link has come up for as long as would make it suspect. */
  private isUnreachable(storeId: StoreId, linked: boolean): boolean {
    if (linked) {
      this.unlinkedSinceMs.delete(storeId)
      return false
    }
    const now = this.options.clock.monotonicMs()
    const since = this.unlinkedSinceMs.get(storeId) ?? now
    this.unlinkedSinceMs.set(storeId, since)
    return now - since > SUSPECT_AFTER_MS
  }

  private queueOf(storeId: StoreId): StoreQueue {
    let queue = this.queues.get(storeId)
    if (queue === undefined) this.queues.set(storeId, (queue = new StoreQueue(storeId)))
    return queue
  }
}

/** Cuts frames of one topic into messages of a bounded size. */
function* messageParts(entries: readonly Entry[]): Generator<readonly Entry[]> {
  let from = 0
  let size = 0
  for (const [index, entry] of entries.entries()) {
    if (size > 0 && size + entry.size > MESSAGE_BYTES_TARGET) {
      yield entries.slice(from, index)
      from = index
      size = 0
    }
    size += entry.size
  }
  yield entries.slice(from)
}
