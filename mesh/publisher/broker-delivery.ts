// Through a broker: one publication reaches live subscribers and the stores that consume the shard. The
// broker hands over again what a store has not taken, so a frame is sent again only when the broker lost
// it, when its shard has other owners, when an owner has passed it over, or after 10 s without its ack.
import type { StoreView } from '../membership.ts'
import type { PeerId, StoreId } from '../names.ts'
import { messageBytesTarget } from '../message.ts'
import { takersByShard } from '../placement.ts'
import { backlogTopic } from '../topic.ts'
import type { BrokerTransport } from '../transport.ts'
import { BrokerQueue } from './broker-queue.ts'
import { Delivery, type DeliveryOptions } from './delivery.ts'
import { isPending, type Entry } from './entry.ts'
import type { OutgoingLane } from './lane.ts'
import { liveMessages } from './messages.ts'
import type { FrameAge } from './send-queue.ts'

/** An owner that acknowledged what came later had its chance at what came before. */
const PASSED_OVER_MS_MIN = 200

export class BrokerDelivery extends Delivery<BrokerTransport> {
  private readonly queue: BrokerQueue
  private readonly stopListening: () => void
  private readonly ownersByShard = new Map<number, string>()
  /** Lanes of which a store acknowledged something and may have passed something over. */
  private readonly touched = new Map<OutgoingLane, Set<StoreId>>()

  constructor(options: DeliveryOptions<BrokerTransport>) {
    super(options)
    this.queue = new BrokerQueue(options.transport)
    this.stopListening = options.transport.onConnection((isConnected) => {
      if (isConnected) this.pump()
      else this.lost()
    })
  }

  override stop(): void {
    super.stop()
    this.stopListening()
  }

  queues(): Iterable<BrokerQueue> {
    return [this.queue]
  }

  sendFresh(sealed: readonly Entry[]): void {
    const bytesMax = messageBytesTarget(this.options.transport)
    for (const { topic, entries } of liveMessages(sealed, bytesMax)) this.send(topic, entries)
  }

  private send(topic: string, sealed: readonly Entry[]): void {
    const { schemas, clock, counters } = this.options
    for (const entry of sealed) entry.isHanded = true
    const size = sealed.reduce((sum, entry) => sum + entry.size, 0)
    if (!this.queue.isReady) {
      // Nobody is watching live what goes out in a minute.
      for (const entry of sealed) this.queue.pushBacklog(entry)
    } else if (this.queue.hasRoom(size)) {
      const frames = sealed.flatMap((entry) => this.bytesOf(entry) ?? [])
      const entries = sealed.filter(isPending)
      if (entries.length === 0) return
      for (const { schemaId } of entries) schemas.publishLive(schemaId)
      for (const entry of entries) this.queue.markSent(entry, clock.monotonicMs())
      counters.framesSent += entries.length
      this.publish(topic, entries, this.encode(frames))
    } else {
      for (const entry of sealed) this.queue.pushFresh(entry)
    }
  }

  sendBacklog(entries: readonly Entry[]): void {
    for (const entry of entries) this.queue.pushBacklog(entry)
    this.pump()
  }

  review(stores: readonly StoreView[]): ReadonlySet<StoreId> {
    return new Set(stores.map(({ storeId }) => storeId))
  }

  retarget(candidates: readonly StoreId[], usable: ReadonlySet<StoreId>): void {
    const moved = new Set<number>()
    const { replicas } = this.options.mesh
    for (const [shard, takers] of takersByShard(candidates, usable, replicas).entries()) {
      const owners = takers.sort().join()
      const before = this.ownersByShard.get(shard)
      if (before !== undefined && before !== owners) moved.add(shard)
      this.ownersByShard.set(shard, owners)
    }
    if (moved.size > 0) this.sendAgain((entry) => moved.has(entry.lane.shard))
  }

  acknowledged(entry: Entry, storeId: StoreId, isDone: boolean): void {
    if (isDone) this.queue.acknowledged(entry, this.options.clock.monotonicMs())
    const { lane } = entry
    const stores = this.touched.get(lane)
    if (stores === undefined) this.touched.set(lane, new Set([storeId]))
    else stores.add(storeId)
  }

  /** How much a broker may be given is not for one store to say. */
  granted(): void {}

  tick(): void {
    const now = this.options.clock.monotonicMs()
    this.options.counters.framesRepeated += this.sendPassedOver(now) + this.queue.expire(now)
    this.queue.releaseFinished()
    this.prune()
  }

  protected peerOf(): PeerId | undefined {
    return undefined
  }

  protected topicOf({ lane }: Entry, _queue: BrokerQueue, age: FrameAge): string {
    return age === 'fresh' ? lane.topic : backlogTopic(lane.shard)
  }

  private sendPassedOver(now: number): number {
    const forMs = Math.max(PASSED_OVER_MS_MIN, 4 * this.queue.ackMs)
    let repeated = 0
    for (const [lane, stores] of this.touched) {
      for (const storeId of stores) {
        const passed = lane.passedOver(storeId)
        for (const entry of passed) if (this.queue.sendAgain(entry, now, forMs)) repeated += 1
        // Looked at again until it has what it lacks, or all of it is done.
        if (passed.length === 0) stores.delete(storeId)
      }
      if (stores.size === 0) this.touched.delete(lane)
    }
    return repeated
  }

  private sendAgain(isConcerned: (entry: Entry) => boolean): void {
    const now = this.options.clock.monotonicMs()
    for (const entry of this.options.outbox.pending()) {
      if (!isConcerned(entry) || !this.queue.sendAgain(entry, now, 0)) continue
      this.options.counters.framesRepeated += 1
    }
    this.pump()
  }

  private lost(): void {
    this.options.counters.framesRepeated += this.queue.becomeBacklog()
    // Whether the broker keeps the schemas nobody knows either.
    this.options.schemas.forgetPublished()
  }
}
