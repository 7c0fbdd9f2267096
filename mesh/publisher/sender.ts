// Gets sealed frames to their stores and to live subscribers, and learns from acks which are done
// (docs/delivery.md §4); knows nothing of samples. How they travel is the Delivery's business.
import { ACK_LEVELS, readAck, type Ack } from '../ack.ts'
import type { Membership } from '../membership.ts'
import type { StoreId } from '../names.ts'
import { ackTopic } from '../topic.ts'
import {
  isBrokerTransport,
  isPeerTransport,
  type Message,
  type PeerTransport,
} from '../transport.ts'
import { BrokerDelivery } from './broker-delivery.ts'
import type { Delivery, DeliveryOptions, SenderCounters } from './delivery.ts'
import { DirectDelivery } from './direct-delivery.ts'
import { isPending, type Entry } from './entry.ts'
import type { OutgoingLane } from './lane.ts'
import type { SendQueue } from './send-queue.ts'

/** How often unacknowledged frames are looked at. */
export const RETRY_CHECK_MS = 100

export interface SenderOptions extends Omit<DeliveryOptions, 'counters'> {
  readonly membership: Membership
  readonly laneByKey: (key: OutgoingLane['key']) => OutgoingLane | undefined
  readonly onDone: (entry: Entry) => void
  readonly onConflict: (entry: Entry) => void
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
  private readonly delivery: Delivery
  /** Members and those leaving: stores whose word is heard. */
  private known: ReadonlySet<StoreId> = new Set()
  /** Members whose word counts towards W: not those leaving or removed. */
  private counted: ReadonlySet<StoreId> = new Set()
  private usable = 0
  private view = ''
  private stopped = false

  constructor(options: SenderOptions) {
    this.options = options
    const { transport } = options
    const given = { ...options, counters: this.counters }
    this.delivery = isBrokerTransport(transport)
      ? new BrokerDelivery({ ...given, transport })
      : new DirectDelivery({ ...given, transport: transport as PeerTransport })
  }

  async start(): Promise<void> {
    const { transport } = this.options
    const topic = ackTopic(transport.peerId)
    await transport.subscribe(topic, (batch) => this.receiveAcks(batch), 'directed')
    if (isPeerTransport(transport)) transport.onLink(() => this.refresh())
    this.refresh()
  }

  /** Sends and answers nothing more. */
  stop(): void {
    this.stopped = true
    this.delivery.stop()
  }

  /** Sends frames sealed in this turn: to live subscribers, and to each store as far as it has room. */
  send(entries: readonly Entry[]): void {
    if (!this.stopped) this.delivery.sendFresh(entries)
  }

  /** Sends frames that waited out an outage: to owners only, beside what is fresh. */
  sendBacklog(entries: readonly Entry[]): void {
    for (const entry of entries) entry.isHanded = true
    this.delivery.sendBacklog(entries.filter(isPending))
  }

  /** Sends again what is due, sweeps, and notices links that never came up. Call every RETRY_CHECK_MS. */
  tick(): void {
    this.delivery.tick()
    this.refresh()
  }

  /** Looks at the stores again; when who gets what has changed, sends pending frames where they now belong. */
  refresh(): void {
    if (this.stopped) return
    const { membership } = this.options
    const stores = membership.stores()
    const reachable = this.delivery.review(stores)
    const usable = new Set<StoreId>()
    for (const { storeId, suspect, leaving, refusing } of stores) {
      const isAble = !leaving && !suspect && refusing === undefined
      if (isAble && reachable.has(storeId)) usable.add(storeId)
    }
    const candidates = stores.flatMap(({ storeId, leaving }) => (leaving ? [] : storeId)).sort()
    this.known = new Set(stores.map(({ storeId }) => storeId))
    this.counted = new Set(candidates)
    this.usable = usable.size
    const view = JSON.stringify([candidates, [...usable].sort()])
    if (view !== this.view) {
      this.view = view
      this.delivery.retarget(candidates, usable)
    }
    this.delivery.pump()
  }

  /** Stores that could take a frame now. */
  get usableStores(): number {
    return this.usable
  }

  /** Why something cannot be sent however often it is tried. */
  get unsendable(): string | undefined {
    return this.delivery.unsendable()
  }

  queues(): readonly SendQueue[] {
    return [...this.delivery.queues()]
  }

  private receiveAcks(batch: readonly Message[]): void {
    if (this.stopped) return
    for (const { bytes } of batch) {
      const ack = readAck(bytes, this.options.mesh.id)
      if (ack === undefined) this.counters.rejectedAcks += 1
      else this.acknowledge(ack)
    }
    this.delivery.pump()
  }

  private acknowledge(ack: Ack): void {
    const { level, laneByKey, onConflict } = this.options
    const { storeId } = ack
    if (!this.known.has(storeId)) {
      // No store of this mesh that anybody has told us of: nothing was sent to it.
      this.counters.rejectedAcks += 1
      return
    }
    this.counters.acks += 1
    this.delivery.granted(storeId, ack.grantBytes)
    for (const { lane: key, sequence } of ack.conflicts) {
      const entry = laneByKey(key)?.entry(sequence)
      if (entry === undefined || entry.state !== 'pending') continue
      this.counters.conflicts += 1
      onConflict(entry)
    }
    if (ACK_LEVELS.indexOf(ack.level) < ACK_LEVELS.indexOf(level)) return
    for (const { lane: key, runs } of ack.lanes) {
      for (const entry of laneByKey(key)?.acknowledge(storeId, runs) ?? []) {
        entry.heldBy = [...entry.heldBy, storeId]
        const isDone = entry.state === 'pending' && this.isStored(entry)
        this.delivery.acknowledged(entry, storeId, isDone)
        if (isDone) this.options.onDone(entry)
      }
    }
  }

  private isStored(entry: Entry): boolean {
    let stores = 0
    for (const storeId of entry.heldBy) if (this.counted.has(storeId)) stores += 1
    return stores >= this.options.mesh.writeQuorum
  }
}
