// How sealed frames travel to their stores: over a link to each (direct-delivery.ts), or through a broker
// that hands them on (broker-delivery.ts). Which frames are done the Sender learns from acks.
import type { AckLevel } from '../ack.ts'
import type { Clock } from '../clock.ts'
import { MeshError } from '../errors.ts'
import type { StoreView } from '../membership.ts'
import type { MeshIdentity } from '../membership.ts'
import { bytesInMessage, encodeMessage, messageBytesTarget } from '../message.ts'
import type { PeerId, StoreId } from '../names.ts'
import type { SchemaExchange } from '../schema-exchange.ts'
import type { Transport } from '../transport.ts'
import { isPending, type Entry } from './entry.ts'
import type { Outbox } from './outbox.ts'
import type { FrameAge, SendQueue } from './send-queue.ts'

export interface SenderCounters {
  framesSent: number
  framesRepeated: number
  acks: number
  conflicts: number
  rejectedAcks: number
}

export interface DeliveryOptions<Kind extends Transport = Transport> {
  readonly mesh: MeshIdentity
  readonly transport: Kind
  readonly clock: Clock
  readonly schemas: SchemaExchange
  readonly outbox: Outbox
  /** What stores are asked to acknowledge. */
  readonly level: AckLevel
  readonly counters: SenderCounters
  /** The outbox log could not give the frame back. */
  readonly onDamaged: (entry: Entry) => void
}

/** Waiting entries of one queue beyond which finished ones are swept out. */
const PRUNE_AT = 4096

export abstract class Delivery<Kind extends Transport = Transport> {
  protected readonly options: DeliveryOptions<Kind>
  protected stopped = false
  /** What is above the limit of the transport, and the words for it. */
  private readonly refused = new Map<Entry, string>()

  constructor(options: DeliveryOptions<Kind>) {
    this.options = options
  }

  /** Sends frames that were sealed in this turn: to live subscribers and to stores. */
  abstract sendFresh(entries: readonly Entry[]): void

  /** Sends frames that waited out an outage: to owners only, beside what is fresh. */
  abstract sendBacklog(entries: readonly Entry[]): void

  /** Looks at the stores again. Returns those that something can get to now. */
  abstract review(stores: readonly StoreView[]): ReadonlySet<StoreId>

  /** Who owns which shard has changed: sends what is pending to where it now belongs. */
  abstract retarget(candidates: readonly StoreId[], usable: ReadonlySet<StoreId>): void

  /** What is acknowledged by that store, and whether that made it done. */
  abstract acknowledged(entry: Entry, storeId: StoreId, isDone: boolean): void

  /** A store grants this much. */
  abstract granted(storeId: StoreId, grantBytes: number): void

  /** Sends again what is due. */
  abstract tick(): void

  /** Sends what waits, as far as there is room: fresh frames first, then backlog. */
  pump(): void {
    for (const queue of this.queues()) {
      if (!queue.isReady || queue.waiting === 0) continue
      this.pumpQueue(queue, 'fresh')
      this.pumpQueue(queue, 'backlog')
    }
  }

  stop(): void {
    this.stopped = true
  }

  abstract queues(): Iterable<SendQueue>

  /** The process a queue leads to; none when that is a broker. */
  protected abstract peerOf(queue: SendQueue): PeerId | undefined

  protected abstract topicOf(entry: Entry, queue: SendQueue, age: FrameAge): string

  protected prune(): void {
    for (const queue of this.queues()) if (queue.waiting > PRUNE_AT) queue.prune()
  }

  /** Why something cannot be sent however often it is tried; undefined when nothing is so. */
  unsendable(): string | undefined {
    for (const [entry, reason] of this.refused) {
      if (isPending(entry)) return reason
      this.refused.delete(entry)
    }
    return undefined
  }

  /**
   * Frames of one topic in one message. One above the limit, which a server may have lowered since its
   * frames were sealed, is tried again like one that was lost.
   */
  protected publish(topic: string, entries: readonly Entry[], bytes: Buffer, peer?: PeerId): void {
    const { transport } = this.options
    try {
      transport.publish(topic, bytes, peer)
      if (this.refused.size > 0) for (const entry of entries) this.refused.delete(entry)
    } catch (error) {
      if (!(error instanceof MeshError) || error.code !== 'MESH_MESSAGE_TOO_LARGE') throw error
      const reason = `${error.message}: it stays in the outbox until ${transport.name} takes it`
      for (const entry of entries) this.refused.set(entry, reason)
    }
  }

  /** Its bytes, or nothing when they are lost, which is reported. */
  protected bytesOf(entry: Entry): Buffer | undefined {
    try {
      return this.options.outbox.bytesOf(entry)
    } catch (error) {
      if (!(error instanceof MeshError) || error.code !== 'MESH_OUTBOX_DAMAGED') throw error
      this.options.onDamaged(entry)
      return undefined
    }
  }

  protected encode(frames: readonly Buffer[]): Buffer {
    const { mesh, transport, level } = this.options
    return encodeMessage(mesh.id, transport.peerId, frames, level)
  }

  private pumpQueue(queue: SendQueue, age: FrameAge): void {
    const { transport, schemas, clock, counters } = this.options
    const now = clock.monotonicMs()
    const peer = this.peerOf(queue)
    const target = messageBytesTarget(transport)
    let topic = ''
    let frames: Buffer[] = []
    let entries: Entry[] = []
    let size = 0
    const flush = (): void => {
      if (frames.length === 0) return
      this.publish(topic, entries, this.encode(frames), peer)
      frames = []
      entries = []
      size = 0
    }
    for (let entry = queue.take(age); entry !== undefined; entry = queue.take(age)) {
      const bytes = this.bytesOf(entry)
      if (bytes === undefined) continue
      const entryTopic = this.topicOf(entry, queue, age)
      if (entryTopic !== topic || size + bytesInMessage(entry.size) > target) flush()
      topic = entryTopic
      if (peer === undefined) schemas.publishLive(entry.schemaId)
      else schemas.sendTo(peer, entry.schemaId)
      frames.push(bytes)
      entries.push(entry)
      size += bytesInMessage(entry.size)
      queue.markSent(entry, now)
      counters.framesSent += 1
    }
    flush()
  }
}
