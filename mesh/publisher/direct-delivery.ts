// Over links: each store of a shard gets its own copy, within what it grants; live subscribers theirs,
// a little ahead.
import { SUSPECT_AFTER_MS, type StoreView } from '../membership.ts'
import { messageBytesTarget } from '../message.ts'
import type { PeerId, StoreId } from '../names.ts'
import { takersByShard } from '../placement.ts'
import type { PeerTransport } from '../transport.ts'
import { Delivery } from './delivery.ts'
import { isPending, type Entry } from './entry.ts'
import { liveMessages } from './messages.ts'
import { GRANT_BYTES_MAX, StoreQueue } from './store-queue.ts'

/**
 * How far live copies go ahead of the copies of several stores. They share the cores: without it a live
 * reader waits for the stores' threads (p50 240 µs instead of 195, where a receipt takes 800). A single
 * store is no such crowd: there it only cost. Too short for a timer, so the event loop goes round until
 * it is over; a busy one does not notice.
 */
const HEAD_START_MS = 0.12
/** The most rounds, for a clock that stands still. */
const HEAD_START_TURNS = 128

export class DirectDelivery extends Delivery<PeerTransport> {
  private readonly queueByStore = new Map<StoreId, StoreQueue>()
  private readonly targetsByShard = new Map<number, StoreQueue[]>()
  private readonly unlinkedSinceMs = new Map<StoreId, number>()
  /** Published live, and not yet sent to their stores. */
  private fresh: Entry[] = []

  queues(): Iterable<StoreQueue> {
    return this.queueByStore.values()
  }

  /** Live first: whoever watches should not wait for the disks' copies. */
  sendFresh(sealed: readonly Entry[]): void {
    const isFirst = this.fresh.length === 0
    const isWatched = this.publishLive(sealed)
    for (const entry of sealed) this.fresh.push(entry)
    if (!isFirst) return
    const { mesh, clock } = this.options
    if (isWatched && mesh.replicas > 1) this.afterHeadStart(clock.monotonicMs(), HEAD_START_TURNS)
    else this.sendToOwners()
  }

  sendBacklog(entries: readonly Entry[]): void {
    for (const entry of entries) {
      for (const queue of this.targets(entry.lane.shard)) {
        if (!entry.queues.includes(queue)) queue.pushBacklog(entry)
      }
    }
    this.pump()
  }

  review(stores: readonly StoreView[]): ReadonlySet<StoreId> {
    const links = this.options.transport.linked()
    const reachable = new Set<StoreId>()
    for (const { storeId, peer, suspect, grantBytes } of stores) {
      const queue = this.queueOf(storeId)
      const linked = peer !== undefined && links.has(peer)
      queue.peer = linked && !suspect ? peer : undefined
      if (grantBytes !== undefined && queue.ackMs === 0) this.granted(storeId, grantBytes)
      if (!this.isUnreachable(storeId, linked)) reachable.add(storeId)
    }
    this.forgetAllBut(new Set(stores.map(({ storeId }) => storeId)))
    return reachable
  }

  retarget(candidates: readonly StoreId[], usable: ReadonlySet<StoreId>): void {
    const { mesh, outbox } = this.options
    for (const queue of this.queues()) if (!usable.has(queue.storeId)) queue.clear()
    this.targetsByShard.clear()
    for (const [shard, takers] of takersByShard(candidates, usable, mesh.replicas).entries()) {
      const targets = takers.map((storeId) => this.queueOf(storeId))
      this.targetsByShard.set(shard, targets)
    }
    for (const entry of outbox.pending()) {
      if (!entry.isHanded) continue
      for (const queue of this.targets(entry.lane.shard)) {
        if (entry.queues.includes(queue) || entry.heldBy.includes(queue.storeId)) continue
        queue.pushBacklog(entry)
      }
    }
  }

  acknowledged(entry: Entry, storeId: StoreId): void {
    this.queueByStore.get(storeId)?.acknowledged(entry, this.options.clock.monotonicMs())
  }

  granted(storeId: StoreId, grantBytes: number): void {
    const queue = this.queueByStore.get(storeId)
    if (queue !== undefined) queue.grantBytes = Math.min(grantBytes, GRANT_BYTES_MAX)
  }

  tick(): void {
    const now = this.options.clock.monotonicMs()
    for (const queue of this.queues()) this.options.counters.framesRepeated += queue.expire(now)
    this.prune()
  }

  protected peerOf(queue: StoreQueue): PeerId | undefined {
    return queue.peer
  }

  protected topicOf(_entry: Entry, queue: StoreQueue): string {
    return queue.topic
  }

  private targets(shard: number): readonly StoreQueue[] {
    return this.targetsByShard.get(shard) ?? []
  }

  private afterHeadStart(sinceMs: number, turns: number): void {
    setImmediate(() => {
      const isOver = this.options.clock.monotonicMs() - sinceMs >= HEAD_START_MS
      if (isOver || turns === 0) this.sendToOwners()
      else this.afterHeadStart(sinceMs, turns - 1)
    })
  }

  private sendToOwners(): void {
    const { fresh } = this
    this.fresh = []
    if (this.stopped) return
    for (const entry of fresh) {
      if (!isPending(entry)) continue
      entry.isHanded = true
      for (const queue of this.targets(entry.lane.shard)) queue.pushFresh(entry)
    }
    this.pump()
  }

  /** False when nobody subscribes to any of it. */
  private publishLive(sealed: readonly Entry[]): boolean {
    const { transport, schemas } = this.options
    const watched = sealed.filter(({ lane }) => transport.hasSubscribers(lane.topic))
    if (watched.length === 0) return false
    for (const { topic, entries } of liveMessages(watched, messageBytesTarget(transport))) {
      const frames = entries.flatMap((entry) => this.bytesOf(entry) ?? [])
      if (frames.length === 0) continue
      for (const { schemaId } of entries) schemas.publishLive(schemaId)
      this.publish(topic, entries, this.encode(frames))
    }
    return true
  }

  /** Stores that were removed get nothing more, and nothing waits for them. */
  private forgetAllBut(known: ReadonlySet<StoreId>): void {
    for (const [storeId, queue] of this.queueByStore) {
      if (known.has(storeId)) continue
      queue.clear()
      this.queueByStore.delete(storeId)
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
    let queue = this.queueByStore.get(storeId)
    if (queue === undefined) this.queueByStore.set(storeId, (queue = new StoreQueue(storeId)))
    return queue
  }
}
