// The incoming half of a link: packs wait here while a handler is busy, within the window that was
// promised to the other side; what is consumed is granted again.
//
//        sent by the other side ──────────────────────────────────►
//   0 ………… consumed ┃ waiting (ours) ┃ received ┃ on its way ┃ limit
//                   ┗━━━━━━━━━━━━━━━ window ━━━━━━━━━━━━━━━━━━┛
//
// Packs lost on the way are seen as a jump of the offset and count as consumed, so that loss never
// eats up the credit; the offset in heartbeats does the same for those lost last.
import type { PeerId } from '../names.ts'
import type { TransportCounters } from '../transport.ts'
import { PACKET_BYTES_MAX, isWholePack, packCount, packOffset, packetCost } from './wire.ts'

/** Packs that gathered behind a busy handler are delivered together up to this size. */
const DELIVERY_BYTES = 1024 * 1024

export interface ReceiverOptions {
  readonly counters: TransportCounters
  windowBytes(): number
  /** Hands packs to the subscribers; the promise, if any, resolves when they are done and never rejects. */
  deliver(packs: readonly Buffer[], from: PeerId): Promise<void> | undefined
  /** Tells the other side the new limit. */
  grant(): void
  /** Whether so much may still wait for its handler although the link is gone; returned by `release`. */
  keep(cost: number): boolean
  release(cost: number): void
}

interface Waiting {
  readonly packet: Buffer
  /** The link may have another peer by the time the handler is free. */
  readonly from: PeerId
}

export class LinkReceiver {
  private readonly options: ReceiverOptions
  private waiting: Waiting[] = []
  /** Cost of what waits and of what a handler is busy with. */
  private heldCost = 0
  private received = 0
  private isBusy = false
  /** What `keep` allowed, once the link is gone. */
  private keptCost: number | undefined
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

  /** The link is gone for good. What has arrived is delivered all the same, when there is room. */
  end(): void {
    if (this.heldCost === 0) return
    if (this.options.keep(this.heldCost)) {
      this.keptCost = this.heldCost
      return
    }
    for (const { packet } of this.waiting) {
      this.heldCost -= packetCost(packet)
      this.drop(packet)
    }
    this.waiting = []
    this.keptCost = 0
  }

  onPack(packet: Buffer, from: PeerId): void {
    const { counters } = this.options
    if (!isWholePack(packet)) {
      counters.rejectedMessages += 1
      return
    }
    const cost = packetCost(packet)
    this.advance(packOffset(packet) + cost)
    // The other side keeps to the limit; one that does not is not given more memory for it.
    if (this.heldCost + cost > this.options.windowBytes() * 2 + PACKET_BYTES_MAX) {
      this.drop(packet)
      return
    }
    this.heldCost += cost
    if (this.isBusy) this.waiting.push({ packet, from })
    else this.hand([packet], from, cost)
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

  private hand(packs: readonly Buffer[], from: PeerId, cost: number): void {
    const done = this.options.deliver(packs, from)
    if (done === undefined) {
      this.consumed(cost)
    } else {
      this.isBusy = true
      void this.resumeAfter(done, cost)
    }
  }

  private async resumeAfter(done: Promise<void>, cost: number): Promise<void> {
    await done
    this.isBusy = false
    this.consumed(cost)
    while (!this.isBusy && this.waiting.length > 0) this.handNext()
  }

  /** Packs that gathered behind a busy handler go together. */
  private handNext(): void {
    const { from } = this.waiting[0]!
    const packs: Buffer[] = []
    let cost = 0
    for (const next of this.waiting) {
      if (next.from !== from || (packs.length > 0 && cost > DELIVERY_BYTES)) break
      packs.push(next.packet)
      cost += packetCost(next.packet)
    }
    this.waiting.splice(0, packs.length)
    this.hand(packs, from, cost)
  }

  private consumed(cost: number): void {
    this.heldCost -= cost
    if (this.keptCost !== undefined) {
      if (this.heldCost === 0) this.releaseKept()
      return
    }
    // Often enough to keep the other side going, seldom enough to cost nothing.
    if (this.refreshLimit(this.options.windowBytes() / 4)) this.options.grant()
  }

  private releaseKept(): void {
    this.options.release(this.keptCost ?? 0)
    this.keptCost = 0
  }

  private drop(packet: Buffer): void {
    this.options.counters.droppedMessages += packCount(packet)
    this.options.counters.droppedBytes += packet.length
  }
}
