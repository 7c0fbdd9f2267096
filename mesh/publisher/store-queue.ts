// What waits for one store: fresh frames, backlog, and what was sent and is not acknowledged. Sent
// bytes stay within the store's grant, so that a store that is slow or gone fills only its own.
import type { PeerId, StoreId } from '../names.ts'
import { Deque } from './deque.ts'
import { isPending, type Entry } from './entry.ts'

/** Until a store has named its grant. */
export const GRANT_BYTES_DEFAULT = 256 * 1024
/** Above this a larger grant only adds queueing: it is some 100 ms of a fast disk. */
export const GRANT_BYTES_MAX = 4 * 1024 * 1024
const RETRY_MS_MIN = 200
const RETRY_MS_MAX = 5000
/** Share of the grant that backlog may always use, so that it drains beside live traffic. */
const BACKLOG_SHARE = 0.25

interface Sent {
  readonly atMs: number
  readonly firstMs: number
  readonly attempt: number
}

export class StoreQueue {
  readonly storeId: StoreId
  peer: PeerId | undefined
  grantBytes = GRANT_BYTES_DEFAULT
  private readonly fresh = new Deque<Entry>()
  private readonly backlog = new Deque<Entry>()
  private readonly sent = new Map<Entry, Sent>()
  /** Of entries that wait to be sent again. */
  private readonly expired = new Map<Entry, Pick<Sent, 'firstMs' | 'attempt'>>()
  private sentBytes = 0
  private smoothedAckMs = 0

  constructor(storeId: StoreId) {
    this.storeId = storeId
  }

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
    if (this.peer === undefined || this.fresh.length > 0) return false
    const reserved = this.backlog.length > 0 ? this.grantBytes * BACKLOG_SHARE : 0
    return this.sentBytes === 0 || this.sentBytes + bytes <= this.grantBytes - reserved
  }

  pushFresh(entry: Entry): void {
    this.fresh.push(entry)
    entry.queues.push(this)
  }

  pushBacklog(entry: Entry): void {
    this.backlog.push(entry)
    entry.queues.push(this)
  }

  markSent(entry: Entry, nowMs: number): void {
    if (!entry.queues.includes(this)) entry.queues.push(this)
    const { firstMs, attempt } = this.expired.get(entry) ?? { firstMs: nowMs, attempt: 0 }
    this.expired.delete(entry)
    if (!this.sent.has(entry)) this.sentBytes += entry.size
    this.sent.set(entry, { atMs: nowMs, firstMs, attempt: attempt + 1 })
  }

  takeFresh(): Entry | undefined {
    const reserved = this.backlog.length > 0 ? this.grantBytes * BACKLOG_SHARE : 0
    return this.take(this.fresh, this.grantBytes - reserved)
  }

  takeBacklog(): Entry | undefined {
    return this.take(this.backlog, this.grantBytes)
  }

  /** The store says it holds the entry. */
  acknowledged(entry: Entry, nowMs: number): void {
    const sent = this.sent.get(entry)
    const since = sent ?? this.expired.get(entry)
    if (sent !== undefined) this.sentBytes -= entry.size
    this.sent.delete(entry)
    this.expired.delete(entry)
    if (since === undefined) return
    // From the first time it was sent: which of several is answered nobody knows, and counting only
    // those sent once would keep a slow link's estimate at nothing for ever.
    const tookMs = nowMs - since.firstMs
    this.smoothedAckMs += (tookMs - this.smoothedAckMs) / (this.smoothedAckMs === 0 ? 1 : 8)
  }

  /** Moves what was sent too long ago to the backlog. Returns how many will be sent again. */
  expire(nowMs: number): number {
    const waitFirstMs = Math.max(RETRY_MS_MIN, 4 * this.smoothedAckMs)
    let expired = 0
    for (const [entry, { atMs, firstMs, attempt }] of this.sent) {
      const waitMs = Math.min(RETRY_MS_MAX, waitFirstMs * 2 ** (attempt - 1))
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

  /** Forgets finished entries that nobody will take any more, so that they do not hold memory. */
  prune(): void {
    this.fresh.retain(isPending)
    this.backlog.retain(isPending)
    for (const entry of this.expired.keys()) if (!isPending(entry)) this.expired.delete(entry)
  }

  /** The store is gone or suspect: everything that waited for it waits for others now. */
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

  private take(queue: Deque<Entry>, limitBytes: number): Entry | undefined {
    if (this.peer === undefined) return undefined
    for (let entry = queue.first(); entry !== undefined; entry = queue.first()) {
      const live = entry.state === 'pending' && !entry.heldBy.includes(this.storeId)
      // A frame larger than the whole grant still goes, alone.
      if (live && this.sentBytes > 0 && this.sentBytes + entry.size > limitBytes) return undefined
      queue.shift()
      if (live) return entry
      this.expired.delete(entry)
    }
    return undefined
  }
}

function forget(entry: Entry, queue: StoreQueue): void {
  const at = entry.queues.indexOf(queue)
  if (at >= 0) entry.queues.splice(at, 1)
}
