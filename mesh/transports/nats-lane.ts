// Outgoing messages of one connection: a window of them is on its way and not confirmed yet, the
// rest waits, both within one limit. nats.js itself would buffer without bound.
//
//   push ──► waiting ──► in flight (window) ──► confirmed
//              ┗━━━━━━ bytesMax ━━━━━━┛
import type { Clock } from '../clock.ts'
import { Deque } from '../publisher/deque.ts'
import type { TransportCounters } from '../transport.ts'

/** About what one message takes beyond its bytes, here and in its line of the protocol. */
const MESSAGE_OVERHEAD_BYTES = 128

export interface Outgoing {
  readonly subject: string
  readonly bytes: Uint8Array
}

export interface LaneOptions {
  /** Hands a message to the connection; sequences are dense. */
  readonly send: (message: Outgoing, sequence: number) => void
  readonly windowMessages: number
  readonly windowBytes: number
  readonly bytesMax: number
  readonly counters: TransportCounters
  readonly clock: Clock
}

interface InFlight {
  readonly cost: number
  readonly bytes: number
  isConfirmed: boolean
}

interface FlushWaiter {
  readonly mark: number
  readonly resolve: () => void
}

const costOf = (message: Outgoing): number => message.bytes.length + MESSAGE_OVERHEAD_BYTES

export class NatsLane {
  private readonly options: LaneOptions
  private readonly waiting = new Deque<Outgoing>()
  private readonly inFlight = new Deque<InFlight>()
  private waiters: FlushWaiter[] = []
  private inFlightCost = 0
  private totalCost = 0
  private pushed = 0
  private sent = 0
  private progressMs = 0

  constructor(options: LaneOptions) {
    this.options = options
  }

  /** Cost of what waits or is not confirmed. */
  get queuedBytes(): number {
    return this.totalCost
  }

  /** The newest sequence sent. */
  get lastSent(): number {
    return this.sent
  }

  /** False past half of the limit; past all of it the message is dropped, and counted. */
  push(message: Outgoing): boolean {
    const { bytesMax, counters } = this.options
    const cost = costOf(message)
    if (this.totalCost + cost > bytesMax && this.totalCost > 0) {
      counters.droppedMessages += 1
      counters.droppedBytes += message.bytes.length
      return false
    }
    this.pushed += 1
    this.totalCost += cost
    this.waiting.push(message)
    this.pump()
    return this.totalCost <= bytesMax / 2
  }

  confirm(sequence: number): void {
    const index = sequence - this.firstInFlight()
    // Unknown: confirmed after it counted as lost.
    const entry = index < 0 ? undefined : this.inFlight.at(index)
    if (entry === undefined || entry.isConfirmed) return
    entry.isConfirmed = true
    this.inFlightCost -= entry.cost
    this.totalCost -= entry.cost
    this.progressMs = this.options.clock.monotonicMs()
    this.inFlight.shiftWhile(({ isConfirmed }) => isConfirmed)
    this.pump()
    this.settle()
  }

  confirmUpTo(sequence: number): void {
    for (let next = this.firstInFlight(); next <= sequence; next += 1) this.confirm(next)
  }

  /** How long what is in flight has waited without any confirmation. */
  stalledMs(): number {
    return this.inFlight.length === 0 ? 0 : this.options.clock.monotonicMs() - this.progressMs
  }

  /** Everything not confirmed counts as lost. */
  lose(): void {
    const { counters } = this.options
    for (const { bytes, isConfirmed } of this.inFlight) {
      if (isConfirmed) continue
      counters.droppedMessages += 1
      counters.droppedBytes += bytes
    }
    for (const { bytes } of this.waiting) {
      counters.droppedMessages += 1
      counters.droppedBytes += bytes.length
    }
    this.waiting.clear()
    this.inFlight.clear()
    this.inFlightCost = 0
    this.totalCost = 0
    this.settle()
  }

  /** Resolves when everything pushed so far is confirmed or lost. */
  flush(): Promise<void> {
    const mark = this.pushed
    if (this.settled() >= mark) return Promise.resolve()
    return new Promise((resolve) => {
      this.waiters.push({ mark, resolve })
    })
  }

  private firstInFlight(): number {
    return this.sent - this.inFlight.length + 1
  }

  private pump(): void {
    const { windowMessages, windowBytes, counters } = this.options
    while (this.waiting.length > 0 && this.inFlight.length < windowMessages) {
      const message = this.waiting.first()!
      const cost = costOf(message)
      if (this.inFlight.length > 0 && this.inFlightCost + cost > windowBytes) return
      this.waiting.shift()
      if (this.inFlight.length === 0) this.progressMs = this.options.clock.monotonicMs()
      this.sent += 1
      this.inFlight.push({ cost, bytes: message.bytes.length, isConfirmed: false })
      this.inFlightCost += cost
      counters.sentMessages += 1
      counters.sentBytes += message.bytes.length
      this.options.send(message, this.sent)
    }
  }

  private settled(): number {
    return this.pushed - this.waiting.length - this.inFlight.length
  }

  private settle(): void {
    if (this.waiters.length === 0) return
    const settled = this.settled()
    const open: FlushWaiter[] = []
    for (const waiter of this.waiters) {
      if (waiter.mark <= settled) waiter.resolve()
      else open.push(waiter)
    }
    this.waiters = open
  }
}
