// What waits for one receiver, a store or a broker: fresh frames, backlog, and what was sent and is
// not acknowledged. Sent bytes stay within its grant, so that one that is slow or gone fills only its own.
import { Deque } from './deque.ts'
import { isPending, type Entry } from './entry.ts'

/** Share of the grant that backlog may always use, so that it drains beside live traffic. */
const BACKLOG_SHARE = 0.25

interface Sent {
  readonly atMs: number
  readonly firstMs: number
  readonly attempt: number
}

/** When what is not acknowledged is sent again: after `firstMs` or 4 smoothed ack times, doubling to `mostMs`. */
export interface RetryPolicy {
  readonly firstMs: number
  readonly mostMs: number
}

/** backlog: repeats, and what waited out an outage. */
export type FrameAge = 'fresh' | 'backlog'

export abstract class SendQueue {
  grantBytes: number
  private readonly retry: RetryPolicy
  private readonly fresh = new Deque<Entry>()
  private readonly backlog = new Deque<Entry>()
  private readonly sent = new Map<Entry, Sent>()
  /** Of entries that wait to be sent again. */
  private readonly expired = new Map<Entry, Pick<Sent, 'firstMs' | 'attempt'>>()
  private sentBytes = 0
  private smoothedAckMs = 0

  constructor(grantBytes: number, retry: RetryPolicy) {
    this.grantBytes = grantBytes
    this.retry = retry
  }

  /** Whether anything can be sent to it now. */
  abstract get isReady(): boolean

  /** Whether the frame has still to get there. */
  protected abstract lacks(entry: Entry): boolean

  get inFlightBytes(): number {
    return this.sentBytes
  }

  get waiting(): number {
    return this.fresh.length + this.backlog.length
  }

  get inFlight(): number {
    return this.sent.size
  }

  /** Smoothed time from sending to ack, ms. */
  get ackMs(): number {
    return this.smoothedAckMs
  }

  /** True when a fresh frame of this size may go at once, past nothing that waits. */
  hasRoom(bytes: number): boolean {
    if (!this.isReady || this.fresh.length > 0) return false
    const reserved = this.backlog.length > 0 ? this.grantBytes * BACKLOG_SHARE : 0
    return this.sentBytes === 0 || this.sentBytes + bytes <= this.grantBytes - reserved
  }

  pushFresh(entry: Entry): void {
    this.fresh.push(entry)
    entry.queues = [...entry.queues, this]
  }

  pushBacklog(entry: Entry): void {
    this.backlog.push(entry)
    entry.queues = [...entry.queues, this]
  }

  markSent(entry: Entry, nowMs: number): void {
    if (!entry.queues.includes(this)) entry.queues = [...entry.queues, this]
    const { firstMs, attempt } = this.takeExpired(entry) ?? { firstMs: nowMs, attempt: 0 }
    const { size } = this.sent
    this.sent.set(entry, { atMs: nowMs, firstMs, attempt: attempt + 1 })
    if (this.sent.size > size) this.sentBytes += entry.size
  }

  /** The next that may go, within the grant. */
  take(age: FrameAge): Entry | undefined {
    if (age === 'backlog') return this.takeFrom(this.backlog, this.grantBytes)
    const reserved = this.backlog.length > 0 ? this.grantBytes * BACKLOG_SHARE : 0
    return this.takeFrom(this.fresh, this.grantBytes - reserved)
  }

  /** The receiver has it, so far as this queue is concerned. */
  acknowledged(entry: Entry, nowMs: number): void {
    const sent = this.sent.get(entry)
    if (sent !== undefined) {
      this.sentBytes -= entry.size
      this.sent.delete(entry)
    }
    const expired = this.takeExpired(entry)
    const since = sent ?? expired
    if (since === undefined) return
    // From the first time it was sent: which of several is answered nobody knows, and counting only
    // those sent once would keep a slow link's estimate at nothing for ever.
    const tookMs = nowMs - since.firstMs
    this.smoothedAckMs += (tookMs - this.smoothedAckMs) / (this.smoothedAckMs === 0 ? 1 : 8)
  }

  /** How long what was sent for the first time is waited for. */
  get waitMs(): number {
    return Math.max(this.retry.firstMs, 4 * this.smoothedAckMs)
  }

  /**
   * Moves an entry to the backlog that was last sent at least `forMs` ago, doubled with each time it was
   * sent, up to the longest wait. False when there is none such.
   */
  sendAgain(entry: Entry, nowMs: number, forMs: number): boolean {
    const sent = this.sent.get(entry)
    if (sent === undefined) return false
    const waitMs = Math.min(this.retry.mostMs, forMs * 2 ** (sent.attempt - 1))
    if (nowMs - sent.atMs < waitMs) return false
    this.sent.delete(entry)
    this.sentBytes -= entry.size
    this.expired.set(entry, sent)
    this.backlog.push(entry)
    return true
  }

  /** What was sent is lost, and what was fresh no longer is: all of it is backlog. Returns how many were lost. */
  becomeBacklog(): number {
    const lost = [...this.sent.keys()].filter(isPending)
    const later = [...this.backlog]
    this.backlog.clear()
    for (const entry of lost) this.expired.set(entry, this.sent.get(entry)!)
    for (const entry of [...lost, ...this.fresh, ...later]) this.backlog.push(entry)
    this.fresh.clear()
    this.sent.clear()
    this.sentBytes = 0
    return lost.length
  }

  /** Moves what was sent too long ago to the backlog. Returns how many will be sent again. */
  expire(nowMs: number): number {
    const waitFirstMs = this.waitMs
    const { mostMs } = this.retry
    let expired = 0
    for (const [entry, { atMs, firstMs, attempt }] of this.sent) {
      const waitMs = Math.min(mostMs, waitFirstMs * 2 ** (attempt - 1))
      if (nowMs - atMs < waitMs) continue
      this.sent.delete(entry)
      this.sentBytes -= entry.size
      if (entry.state !== 'pending') continue
      this.expired.set(entry, { firstMs, attempt })
      this.backlog.push(entry)
      expired += 1
    }
    return expired
  }

  /** Gives back the room of what was sent and is finished, for a receiver that will not say it has it. */
  releaseFinished(): void {
    for (const entry of this.sent.keys()) {
      if (isPending(entry)) continue
      this.sent.delete(entry)
      this.sentBytes -= entry.size
    }
  }

  /** Forgets finished entries that nobody will take any more, so that they do not hold memory. */
  prune(): void {
    this.fresh.retain(isPending)
    this.backlog.retain(isPending)
    for (const entry of this.expired.keys()) if (!isPending(entry)) this.expired.delete(entry)
  }

  /** The receiver is gone or suspect: everything that waited for it waits for others now. */
  clear(): void {
    for (const queue of [this.fresh, this.backlog]) {
      for (const entry of queue) forget(entry, this)
      queue.clear()
    }
    for (const entry of this.sent.keys()) forget(entry, this)
    this.sent.clear()
    this.expired.clear()
    this.sentBytes = 0
  }

  /** Most queues have nothing that is expired: then there is nothing to look up. */
  private takeExpired(entry: Entry): Pick<Sent, 'firstMs' | 'attempt'> | undefined {
    if (this.expired.size === 0) return undefined
    const expired = this.expired.get(entry)
    this.expired.delete(entry)
    return expired
  }

  private takeFrom(queue: Deque<Entry>, limitBytes: number): Entry | undefined {
    if (!this.isReady) return undefined
    for (let entry = queue.first(); entry !== undefined; entry = queue.first()) {
      const live = isPending(entry) && this.lacks(entry)
      // A frame larger than the whole grant still goes, alone.
      if (live && this.sentBytes > 0 && this.sentBytes + entry.size > limitBytes) return undefined
      queue.shift()
      if (live) return entry
      this.expired.delete(entry)
    }
    return undefined
  }
}

function forget(entry: Entry, queue: SendQueue): void {
  entry.queues = entry.queues.filter((each) => each !== queue)
}
