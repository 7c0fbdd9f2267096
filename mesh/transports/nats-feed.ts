// One durable consumer that runs, for some shards: takes what it brings, and acknowledges it.
import type { JetStreamManager } from '@nats-io/jetstream'
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import type { Clock } from '../clock.ts'
import type { TransportCounters } from '../transport.ts'
import type { NatsHandover, Source } from './nats-handover.ts'
import { NatsPull, deliveryOf } from './nats-pull.ts'
import type { NatsSubjects } from './nats-subjects.ts'

const PREFETCH_BYTES = 2 * 1024 * 1024
/** Of a message beside its bytes, as the server counts it: subject, reply, headers. */
const FRAME_BYTES_MAX = 8192

/** A connection with the stream at its other end. */
export interface StreamAccess {
  readonly nc: NatsConnection
  readonly manager: JetStreamManager
  readonly messageBytesMax: number
  /** What the server's clock shows more than ours. */
  readonly clockAheadMs: number
  newInbox(): string
  /** Something is wrong with the stream: it is looked at, and attached to again. */
  fail(reason: string): void
}

export interface FeedOptions {
  readonly access: StreamAccess
  readonly subjects: NatsSubjects
  readonly clock: Clock
  readonly counters: TransportCounters
  readonly handover: NatsHandover
  readonly consumer: string
  readonly shards: Iterable<number>
  /** Stream sequence up to which everything was handled before it. */
  readonly handled: number
  readonly pending: number
  readonly onBroken: () => void
}

export class NatsFeed implements Source {
  readonly consumer: string
  /** Those of its filter that are still ours; what comes for others is ignored. */
  readonly shards: Set<number>
  readonly released = new Set<number>()
  handled: number
  /** What the server had left for it, as last heard. */
  pending: number
  gatheredBytes = 0
  private readonly options: FeedOptions
  private readonly pull: NatsPull
  private isStopped = false

  constructor(options: FeedOptions) {
    this.options = options
    this.consumer = options.consumer
    this.shards = new Set(options.shards)
    this.handled = options.handled
    this.pending = options.pending
    const { access, subjects, clock, onBroken } = options
    this.pull = new NatsPull(
      {
        nc: access.nc,
        stream: subjects.stream,
        consumer: this.consumer,
        clock,
        bytesMax: Math.max(PREFETCH_BYTES, access.messageBytesMax + FRAME_BYTES_MAX),
        onMessage: (message) => this.receive(message),
        onBroken,
        wants: () => this.gatheredBytes < PREFETCH_BYTES,
      },
      access.newInbox(),
    )
  }

  release(shard: number): void {
    this.shards.delete(shard)
    this.released.add(shard)
  }

  handledUpTo(sequence: number, reply: string): void {
    this.handled = Math.max(this.handled, sequence)
    if (this.isStopped) return
    try {
      this.options.access.nc.publish(reply)
      this.pull.pull()
    } catch {
      // The connection is gone: the successor begins after what was handled all the same.
    }
  }

  /** Brings nothing more. What it brought and is not being handled is forgotten. */
  stop(): void {
    this.isStopped = true
    this.pull.stop()
    this.options.handover.forget(this)
  }

  private receive(message: Msg): void {
    const { subjects, counters, handover } = this.options
    const delivery = deliveryOf(message.reply)
    if (delivery === undefined) return
    this.pending = delivery.pending
    counters.receivedMessages += 1
    counters.receivedBytes += message.data.length
    const topic = subjects.topicOf(message.subject)
    if (topic === undefined) {
      counters.rejectedMessages += 1
      return
    }
    if (!this.shards.has(Number(topic.split('/', 2)[1]))) return
    // A copy: a view would keep alive all that the socket brought with it.
    const item = { topic, bytes: Buffer.from(message.data), from: undefined }
    handover.push(this, item, delivery.streamSequence, message.reply!)
  }
}
