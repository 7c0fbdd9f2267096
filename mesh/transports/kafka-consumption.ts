// One consumer of telemetry: the partitions of its shards, from the offsets committed for its group.
// What is read gathers, bounded, while the handler is busy; the next batch comes when the promise for
// the one before is fulfilled, and only then are its offsets committed. Commits are bounded in rate: a
// lost one means that some messages come twice.
//
// A shard without a commit begins CONSUME_BACK_MS before now. One with a commit goes on from there,
// however old that is: a shard that was given away and has come back is replayed from where it was
// left, or from the oldest that retention has kept. That costs repeats, of which storage keeps one;
// to begin later would leave a gap for repair to fill.
import type { Clock, Random, Timer } from '../clock.ts'
import { Backoff } from '../broker/backoff.ts'
import { Deque } from '../publisher/deque.ts'
import type { BatchHandler, Consumption, Message } from '../transport.ts'
import { CONSUME_BACK_MS } from '../transport.ts'
import type { KafkaAccess, KafkaClient, PartitionRef } from './kafka-client.ts'
import { commitOffsets, committedOffsets, offsetsAt } from './kafka-offsets.ts'
import type { ReadRecord } from './kafka-reader.ts'
import { KafkaReader } from './kafka-reader.ts'
import type { KafkaTopics, Place } from './kafka-topics.ts'
import { partitionOfShard } from './kafka-topics.ts'

/** Read ahead of the handler. */
const READ_AHEAD_BYTES = 8 * 1024 * 1024
/** Handed over together. */
const BATCH_BYTES = 4 * 1024 * 1024
const MESSAGE_OVERHEAD_BYTES = 128
const COMMIT_EVERY_MS = 250
/** How long close() waits for the last commit. */
const LAST_COMMIT_MS = 1000
const REDELIVER_FIRST_MS = 200
const REDELIVER_MOST_MS = 5000

export interface ConsumptionOptions {
  readonly access: KafkaAccess
  readonly topics: KafkaTopics
  readonly clock: Clock
  readonly random: Random
  readonly group: string
  readonly onBatch: BatchHandler
  /** Says whether it is a topic of ours. */
  received(record: ReadRecord): boolean
  rejected(count: number): void
  onTrouble(reason: string | undefined): void
  onClosed(): void
}

interface Commit extends PartitionRef {
  readonly offset: number
}

export class KafkaConsumption implements Consumption {
  private readonly options: ConsumptionOptions
  private readonly reader: KafkaReader
  private readonly redelivery: Backoff
  private readonly pending = new Deque<ReadRecord>()
  private readonly commits = new Map<string, Commit>()
  private shards: ReadonlySet<number> = new Set()
  private pendingBytes = 0
  private room: PromiseWithResolvers<void> | undefined
  private isHandling = false
  private commitTimer: Timer | undefined
  private committing: Promise<void> | undefined
  private closing: Promise<void> | undefined
  private isClosed = false

  constructor(options: ConsumptionOptions) {
    this.options = options
    const { clock, random } = options
    this.redelivery = new Backoff({
      clock,
      random,
      firstMs: REDELIVER_FIRST_MS,
      mostMs: REDELIVER_MOST_MS,
    })
    this.reader = new KafkaReader({
      ...options,
      start: (client, partitions) => this.start(client, partitions),
      take: (records) => this.take(records),
    })
  }

  assign(shards: ReadonlySet<number>): void {
    if (this.isClosed) return
    this.shards = new Set(shards)
    const kept = [...this.pending].filter((record) => this.isAssigned(record))
    this.pending.clear()
    this.pendingBytes = 0
    for (const record of kept) this.hold(record)
    const partitions = [...new Set([...shards].map(partitionOfShard))]
    const places = partitions.flatMap((partition): Place[] => [
      { kind: 'telemetry', partition },
      { kind: 'backlog', partition },
    ])
    void this.reader.read(places)
    this.makeRoom()
  }

  lag(): number {
    return this.reader.lag() + this.pending.length
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce()
    return this.closing
  }

  private async closeOnce(): Promise<void> {
    this.isClosed = true
    this.redelivery.stop()
    this.makeRoom()
    this.commitTimer?.cancel()
    await this.lastCommit()
    await this.reader.stop()
    this.options.onClosed()
  }

  private async lastCommit(): Promise<void> {
    const late = Promise.withResolvers<void>()
    const timer = this.options.clock.startTimer(LAST_COMMIT_MS, () => late.resolve())
    await Promise.race([this.committing?.then(() => this.commit()) ?? this.commit(), late.promise])
    timer.cancel()
  }

  private async start(client: KafkaClient, partitions: readonly PartitionRef[]): Promise<number[]> {
    const { clock, group } = this.options
    const committed = await committedOffsets(client, group, partitions)
    const fresh = partitions.filter((_, index) => committed[index] === undefined)
    const offsets = await offsetsAt(client, fresh, clock.nowUs() / 1000 - CONSUME_BACK_MS)
    const starts = offsets.values()
    return committed.map((offset) => offset ?? starts.next().value!)
  }

  private take(records: readonly ReadRecord[]): Promise<void> | undefined {
    for (const record of records) {
      if (this.options.received(record) && this.isAssigned(record)) this.hold(record)
    }
    void this.handle()
    if (this.pendingBytes < READ_AHEAD_BYTES || this.isClosed) return undefined
    this.room ??= Promise.withResolvers()
    return this.room.promise
  }

  /** Hands over what is pending until nothing is. */
  private async handle(): Promise<void> {
    if (this.isHandling) return
    this.isHandling = true
    while (this.pending.length > 0 && !this.isClosed) await this.handOver(this.nextBatch())
    this.isHandling = false
  }

  private async handOver(batch: readonly ReadRecord[]): Promise<void> {
    let left = batch
    while (left.length > 0 && !this.isClosed) {
      try {
        await this.options.onBatch(left.map(messageOf))
        this.redelivery.reset()
        this.taken(left)
        return
      } catch {
        await this.redelivery.wait()
        // Another store takes those of shards that were given away meanwhile.
        left = left.filter((record) => this.isAssigned(record))
      }
    }
  }

  private nextBatch(): ReadRecord[] {
    const batch: ReadRecord[] = []
    let bytes = 0
    while (this.pending.length > 0 && (batch.length === 0 || bytes < BATCH_BYTES)) {
      const record = this.pending.shift()!
      bytes += costOf(record)
      batch.push(record)
    }
    this.pendingBytes -= bytes
    this.makeRoom()
    return batch
  }

  private hold(record: ReadRecord): void {
    this.pending.push(record)
    this.pendingBytes += costOf(record)
  }

  private makeRoom(): void {
    if (this.pendingBytes >= READ_AHEAD_BYTES && !this.isClosed) return
    this.room?.resolve()
    this.room = undefined
  }

  private isAssigned({ topic }: ReadRecord): boolean {
    const shard = topic.split('/', 2)[1]
    return shard !== undefined && this.shards.has(Number(shard))
  }

  private taken(batch: readonly ReadRecord[]): void {
    for (const { from, offset } of batch) {
      this.commits.set(commitKey(from), {
        topic: from.topic,
        partition: from.partition,
        offset: offset + 1,
      })
    }
    if (!this.isClosed) this.commitSoon()
  }

  private commitSoon(): void {
    this.commitTimer ??= this.options.clock.startTimer(COMMIT_EVERY_MS, () => {
      this.committing = this.commit().finally(() => {
        this.committing = undefined
        this.commitTimer = undefined
        if (this.commits.size > 0 && !this.isClosed) this.commitSoon()
      })
    })
  }

  private async commit(): Promise<void> {
    const { client } = this.reader
    for (const [key, commit] of this.commits) {
      // Its shard was given away, or its topic made anew.
      if (!this.reader.isReading(commit)) this.commits.delete(key)
    }
    const due = [...this.commits.values()]
    if (client === undefined || due.length === 0) return
    try {
      await commitOffsets(client, this.options.group, due)
    } catch {
      // Stays due; if it never works, what it was about is given again.
      return
    }
    for (const each of due) {
      const key = commitKey(each)
      if (this.commits.get(key) === each) this.commits.delete(key)
    }
  }
}

const commitKey = ({ topic, partition }: PartitionRef): string => `${topic.name}/${partition}`

const costOf = ({ bytes }: ReadRecord): number => bytes.length + MESSAGE_OVERHEAD_BYTES

const messageOf = ({ topic, bytes }: ReadRecord): Message => ({ topic, bytes, from: undefined })
