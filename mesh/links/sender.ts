// The outgoing half of a link: its queue, and the credit that the other side gives.
//
// Credit is an offset: the receiver says how far into this session it lets us send, and moves that
// on as it consumes. So a slow receiver holds at most its window, and everything else waits here,
// where live messages can drop their oldest. The network's own buffers are bounded by it too.
import type { TransportCounters } from '../transport.ts'
import type { Dropped } from './queue.ts'
import { LinkQueue } from './queue.ts'
import type { Outgoing } from './wire.ts'
import { PACK_BYTES_MAX, encodePack, packCount, packetCost } from './wire.ts'

/**
 * Backed up for longer than this, a link no longer slows those who publish to everybody. Long enough
 * for a busy machine's hiccups, in which it is better to wait than to drop; a subscriber that is slow
 * for good costs its publishers this once.
 */
const STALLED_MS = 500

/** The most that may be on its way to one peer; four of our own windows. */
const CREDIT_BYTES_MAX = 16 * 1024 * 1024

export interface SenderOptions {
  readonly queueBytesMax: number
  readonly counters: TransportCounters
  send(packet: Buffer): void
  nowMs(): number
}

export class LinkSender {
  private readonly options: SenderOptions
  private readonly queue: LinkQueue
  private readonly highWaterBytes: number
  private session = 0
  private limit = 0
  /** When messages began to wait for credit; undefined when none do. */
  private blockedSinceMs: number | undefined
  /** Cost of all packs of this session so far. */
  sent = 0

  constructor(options: SenderOptions) {
    this.options = options
    this.queue = new LinkQueue(options.queueBytesMax)
    this.highWaterBytes = options.queueBytesMax / 4
  }

  get queuedBytes(): number {
    return this.queue.bytes
  }

  get queuedMessages(): number {
    return this.queue.length
  }

  /** A new life of the link: what the other side has not said does not hold. */
  begin(session: number, limit: number): void {
    this.session = session
    this.limit = 0
    this.sent = 0
    this.allow(limit)
    this.blockedSinceMs = undefined
  }

  /** Queues; false when the caller should slow down, or when the message had to be dropped. */
  push(message: Outgoing): boolean {
    const dropped: Dropped = { messages: 0, bytes: 0 }
    const taken = this.queue.push(message, dropped)
    if (!taken) {
      dropped.messages += 1
      dropped.bytes += message.bytes.length
    }
    const { counters } = this.options
    counters.droppedMessages += dropped.messages
    counters.droppedBytes += dropped.bytes
    if (message.directed) return taken && this.queue.bytes <= this.highWaterBytes
    return this.queue.bytes <= this.highWaterBytes || this.isStalled()
  }

  /** Credit from the other side. More than we would ever give is not believed: it bounds our memory. */
  allow(limit: number): void {
    const believed = Math.min(limit, this.sent + CREDIT_BYTES_MAX)
    if (believed > this.limit) this.limit = believed
  }

  /** Whether something waits that may be sent now. */
  get isReady(): boolean {
    return this.queue.length > 0 && this.sent < this.limit
  }

  /** Sends what credit allows; whether that was anything. */
  pump(): boolean {
    const { counters } = this.options
    const before = this.sent
    while (this.isReady) {
      const messages = this.queue.take(PACK_BYTES_MAX)
      const packet = encodePack(this.session, this.sent, messages)
      this.sent += packetCost(packet)
      counters.sentMessages += messages.length
      for (const message of messages) counters.sentBytes += message.bytes.length
      this.options.send(packet)
    }
    if (this.queue.length === 0) this.blockedSinceMs = undefined
    else this.blockedSinceMs ??= this.options.nowMs()
    return this.sent > before
  }

  /** The network would not take a packet after all. */
  lost(packet: Buffer): void {
    this.options.counters.droppedMessages += packCount(packet)
    this.options.counters.droppedBytes += packet.length
  }

  isStalled(): boolean {
    const since = this.blockedSinceMs
    return since !== undefined && this.options.nowMs() - since >= STALLED_MS
  }

  mark(): number {
    return this.queue.mark()
  }

  /**
   * Whether a flush that began at `mark` need not wait for this link any more. Live messages on a
   * stalled link are not waited for, or one slow subscriber would slow every publisher; their bytes
   * are copied, so that the publisher has its own back as promised.
   */
  isFlushed(mark: number): boolean {
    if (this.queue.isPast(mark, false)) return true
    if (!this.isStalled() || !this.queue.isPast(mark, true)) return false
    this.queue.ownBytes()
    return true
  }

  /** Takes everything out, to be queued elsewhere. */
  drain(): Outgoing[] {
    return this.queue.take(Number.POSITIVE_INFINITY)
  }

  /** Drops everything that waits, counted. */
  discard(): void {
    for (const message of this.drain()) {
      this.options.counters.droppedMessages += 1
      this.options.counters.droppedBytes += message.bytes.length
    }
  }
}
