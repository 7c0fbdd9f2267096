// The incoming half of a link: packs wait here while a handler is busy, within the window that was
// promised to the other side; what is consumed is granted again.
//
//        sent by the other side ──────────────────────────────────►
//   0 ………… consumed ┃ waiting (ours) ┃ received ┃ on its way ┃ limit
//                   ┗━━━━━━━━━━━━━━━ window ━━━━━━━━━━━━━━━━━━┛
//
// Packs lost on the way are seen as a jump of the offset and count as consumed, so that loss never
// eats up the credit; the offset in heartbeats does the same for those lost last.
import type { TransportCounters } from '../transport.ts'
import { PACKET_BYTES_MAX, isWholePack, packCount, packOffset, packetCost } from './wire.ts'

/** Packs that gathered behind a busy handler are delivered together up to this size. */
const DELIVERY_BYTES = 1024 * 1024

export interface ReceiverOptions {
  readonly counters: TransportCounters
  windowBytes(): number
  /** Hands packs to the subscribers; the promise, if any, resolves when they are done and never rejects. */
  deliver(packs: readonly Buffer[]): Promise<void> | undefined
  /** Tells the other side the new limit. */
  grant(): void
}

export class LinkReceiver {
  private readonly options: ReceiverOptions
  private waiting: Buffer[] = []
  private heldCost = 0
  private received = 0
  private busy = false
  private ended = false
  /** How far the other side may send; only ever grows within a session. */
  limit = 0

  constructor(options: ReceiverOptions) {
    this.options = options
  }

  /** A new session of the other side. What waits of the old one still counts and is delivered. */
  begin(): void {
    this.received = 0
    this.limit = Math.max(0, this.options.windowBytes() - this.heldCost)
  }

  /** The link is gone for good: nothing more is delivered. */
  end(): void {
    this.ended = true
    this.waiting = []
  }

  onPack(packet: Buffer): void {
    const { counters } = this.options
    if (!isWholePack(packet)) {
      counters.rejectedMessages += 1
      return
    }
    const cost = packetCost(packet)
    this.advance(packOffset(packet) + cost)
    // The other side keeps to the limit; one that does not is not given more memory for it.
    if (this.heldCost + cost > this.options.windowBytes() * 2 + PACKET_BYTES_MAX) {
      counters.droppedMessages += packCount(packet)
      counters.droppedBytes += packet.length
      return
    }
    this.heldCost += cost
    if (this.busy) {
      this.waiting.push(packet)
    } else {
      this.hand([packet], cost)
    }
  }

  /** The other side has sent up to `offset`, arrived or not. */
  advance(offset: number): void {
    if (offset > this.received) this.received = offset
  }

  /** Moves the limit to where it stands now; true when it moved by `leastBytes` or more. */
  refreshLimit(leastBytes = 1): boolean {
    const limit = this.received - this.heldCost + this.options.windowBytes()
    if (limit - this.limit < leastBytes) return false
    this.limit = limit
    return true
  }

  private hand(packs: readonly Buffer[], cost: number): void {
    const done = this.options.deliver(packs)
    if (done === undefined) {
      this.consumed(cost)
    } else {
      this.busy = true
      void this.resumeAfter(done, cost)
    }
  }

  private async resumeAfter(done: Promise<void>, cost: number): Promise<void> {
    await done
    this.busy = false
    this.consumed(cost)
    while (!this.busy && this.waiting.length > 0) {
      const packs = this.nextDelivery()
      this.hand(
        packs,
        packs.reduce((sum, packet) => sum + packetCost(packet), 0),
      )
    }
  }

  private nextDelivery(): Buffer[] {
    let count = 0
    let bytes = 0
    while (count < this.waiting.length) {
      bytes += this.waiting[count]!.length
      if (count > 0 && bytes > DELIVERY_BYTES) break
      count += 1
    }
    return this.waiting.splice(0, count)
  }

  private consumed(cost: number): void {
    this.heldCost -= cost
    if (this.ended) return
    // Often enough to keep the other side going, seldom enough to cost nothing.
    if (this.refreshLimit(this.options.windowBytes() / 4)) this.options.grant()
  }
}
