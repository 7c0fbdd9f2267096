// What waits for one subscription's handler. A client library hands over messages as they come, busy
// handler or not, so they gather here: one call at a time, bounded in bytes, and when that is full
// the oldest are dropped and counted.
//
//   push ──► waiting (bytesMax, drops oldest) ──► one batch ──► handler, next batch when it settles
import { Deque } from '../publisher/deque.ts'
import type { BatchHandler, Message, TransportCounters } from '../transport.ts'

/** What gathered behind a busy handler is delivered together up to this size. */
const DELIVERY_BYTES = 1024 * 1024
/** About what one message takes in memory beyond its bytes; so empty ones are bounded too. */
const MESSAGE_OVERHEAD_BYTES = 128

export interface HandlerQueueOptions {
  readonly onBatch: BatchHandler
  readonly bytesMax: number
  /** Dropped messages are counted here; received ones are the caller's to count. */
  readonly counters: TransportCounters
}

const costOf = (message: Message): number => message.bytes.length + MESSAGE_OVERHEAD_BYTES

export class HandlerQueue {
  private readonly options: HandlerQueueOptions
  private readonly waiting = new Deque<Message>()
  /** Cost of what waits. */
  private bytes = 0
  private isBusy = false
  private holds = 0
  private isScheduled = false
  private isClosed = false

  constructor(options: HandlerQueueOptions) {
    this.options = options
  }

  /**
   * Takes a message whose bytes are valid until the end of this turn: it is copied when it has to
   * wait for longer. Those pushed in one turn reach an idle handler as one batch, after the turn.
   */
  push(message: Message): void {
    if (this.isClosed) return
    const mustWait = this.isBusy || this.holds > 0
    this.add(mustWait ? { ...message, bytes: Buffer.from(message.bytes) } : message)
    if (mustWait || this.isScheduled) return
    this.isScheduled = true
    queueMicrotask(() => {
      this.isScheduled = false
      this.run()
      if (this.isBusy) this.ownBytes()
    })
  }

  /** Messages only gather until release(), once for each hold(). */
  hold(): void {
    this.holds += 1
  }

  /** Ends hold(); what is given comes first and is kept, uncopied, before all that has gathered. */
  release(first: readonly Message[] = []): void {
    this.holds -= 1
    if (this.isClosed) return
    const later = [...this.waiting]
    this.waiting.clear()
    this.bytes = 0
    for (const message of [...first, ...later]) this.add(message)
    this.run()
  }

  /** No handler call starts after this. */
  close(): void {
    this.isClosed = true
    this.waiting.clear()
    this.bytes = 0
  }

  private add(message: Message): void {
    const cost = costOf(message)
    const { bytesMax } = this.options
    // One that is larger than the limit is taken when nothing waits.
    while (this.bytes + cost > bytesMax && this.waiting.length > 0) {
      const oldest = this.waiting.shift()!
      this.bytes -= costOf(oldest)
      this.countLost([oldest])
    }
    this.waiting.push(message)
    this.bytes += cost
  }

  private run(): void {
    while (!this.isBusy && this.holds === 0 && this.waiting.length > 0) {
      const batch = this.take()
      const done = this.call(batch)
      if (done !== undefined) {
        this.isBusy = true
        void this.resumeAfter(done, batch)
      }
    }
  }

  private take(): Message[] {
    const batch: Message[] = []
    let bytes = 0
    while (this.waiting.length > 0 && (batch.length === 0 || bytes < DELIVERY_BYTES)) {
      const message = this.waiting.shift()!
      bytes += costOf(message)
      batch.push(message)
    }
    this.bytes -= bytes
    return batch
  }

  private call(batch: readonly Message[]): Promise<void> | undefined {
    try {
      return this.options.onBatch(batch) ?? undefined
    } catch {
      this.countLost(batch)
      return undefined
    }
  }

  private async resumeAfter(done: Promise<void>, batch: readonly Message[]): Promise<void> {
    try {
      await done
    } catch {
      this.countLost(batch)
    }
    this.isBusy = false
    this.run()
  }

  /** What else came in the turn that made the handler busy must now wait for longer. */
  private ownBytes(): void {
    if (this.waiting.length === 0) return
    const messages = [...this.waiting]
    this.waiting.clear()
    for (const message of messages) {
      this.waiting.push({ ...message, bytes: Buffer.from(message.bytes) })
    }
  }

  private countLost(batch: readonly Message[]): void {
    this.options.counters.droppedMessages += batch.length
    for (const message of batch) this.options.counters.droppedBytes += message.bytes.length
  }
}
