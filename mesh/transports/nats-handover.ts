// Hands what the consumers of a storage peer bring to its handler, one batch at a time over all of
// them, again until it is taken; only then does the server hear of it.
import { Backoff } from '../broker/backoff.ts'
import type { Clock, Random } from '../clock.ts'
import { Deque } from '../publisher/deque.ts'
import type { BatchHandler, Message } from '../transport.ts'

const DELIVERY_BYTES = 1024 * 1024
const MESSAGE_OVERHEAD_BYTES = 256
const RETRY_FIRST_MS = 100
const RETRY_MOST_MS = 5000

/** Where messages come from. */
export interface Source {
  /** Cost of what was brought and is not handled. */
  gatheredBytes: number
  /** Everything up to and with this message was handled. */
  handledUpTo(sequence: number, reply: string): void
}

interface Gathered {
  readonly source: Source
  readonly message: Message
  readonly sequence: number
  readonly reply: string
}

export interface HandoverOptions {
  readonly onBatch: BatchHandler
  readonly clock: Clock
  readonly random: Random
}

const costOf = ({ bytes }: Message): number => bytes.length + MESSAGE_OVERHEAD_BYTES

export class NatsHandover {
  private readonly options: HandoverOptions
  private readonly retries: Backoff
  private readonly gathered = new Deque<Gathered>()
  private handling = 0
  private isRunning = false
  private isClosed = false

  constructor(options: HandoverOptions) {
    this.options = options
    const { clock, random } = options
    this.retries = new Backoff({
      clock,
      random,
      firstMs: RETRY_FIRST_MS,
      mostMs: RETRY_MOST_MS,
    })
  }

  /** Messages not handled yet. */
  get length(): number {
    return this.gathered.length + this.handling
  }

  /** The message's bytes are kept. */
  push(source: Source, message: Message, sequence: number, reply: string): void {
    if (this.isClosed) return
    source.gatheredBytes += costOf(message)
    this.gathered.push({ source, message, sequence, reply })
    if (this.isRunning) return
    this.isRunning = true
    // The rest of what the socket brought in this turn belongs to the same batch.
    queueMicrotask(() => void this.run())
  }

  /** What the source brought is not handed over any more; it will be brought again. */
  forget(source: Source): void {
    this.gathered.retain((item) => item.source !== source)
  }

  /** No handler call starts after this. */
  close(): void {
    this.isClosed = true
    this.retries.stop()
    this.gathered.clear()
  }

  private async run(): Promise<void> {
    while (this.gathered.length > 0 && !this.isClosed) {
      const batch = this.take()
      this.handling = batch.length
      await this.hand(batch.map(({ message }) => message))
      this.handling = 0
      if (!this.isClosed) acknowledge(batch)
    }
    this.isRunning = false
  }

  private take(): Gathered[] {
    const batch: Gathered[] = []
    let bytes = 0
    while (this.gathered.length > 0 && bytes < DELIVERY_BYTES) {
      const item = this.gathered.shift()!
      bytes += costOf(item.message)
      batch.push(item)
    }
    return batch
  }

  /** Resolves when the handler has taken the batch, however often it has to be given, or when closed. */
  private async hand(batch: readonly Message[]): Promise<void> {
    while (!this.isClosed) {
      try {
        await this.options.onBatch(batch)
        this.retries.reset()
        return
      } catch {
        await this.retries.wait()
      }
    }
  }
}

function acknowledge(batch: readonly Gathered[]): void {
  const last = new Map<Source, Gathered>()
  for (const item of batch) {
    item.source.gatheredBytes -= costOf(item.message)
    last.set(item.source, item)
  }
  for (const [source, { sequence, reply }] of last) source.handledUpTo(sequence, reply)
}
