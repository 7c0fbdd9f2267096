// Telemetry for a storage peer: durable pull consumers, each with a filter for some shards. What was
// handled is acknowledged, all up to a message at once (ack policy `all`).
//
// A consumer is never bound a second time, and its filter never changed. The one has unacknowledged
// messages that come again only after newer ones, which would acknowledge them unhandled; the other
// skips messages. Instead a successor is made, which begins after what its predecessor had
// acknowledged, and the predecessor is deleted then. Shards that come while it runs get a consumer of
// their own, so that those that stay are not disturbed:
//
//   bind      [1 2 3]              successor of all that was there under this name
//   assign    [1 2 3] [7]          7 from CONSUME_BACK_MS before now; 2 given away: ignored in [1 2 3]
//   bind      [1 3 7]              after a reconnection, or when there are too many
import type { ConsumerInfo, JetStreamManager, StreamInfo } from '@nats-io/jetstream'
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import { Backoff } from '../broker/backoff.ts'
import type { Clock, Random } from '../clock.ts'
import { Deque } from '../publisher/deque.ts'
import type { BatchHandler, Consumption, Message, TransportCounters } from '../transport.ts'
import { CONSUME_BACK_MS } from '../transport.ts'
import { NatsPull, deliveryOf } from './nats-pull.ts'
import type { NatsSubjects } from './nats-subjects.ts'
import { escapeName } from './nats-subjects.ts'

const NS_PER_MS = 1_000_000
/** Unused for so long, the server deletes it: longer than the stream keeps anything by default. */
const INACTIVE_MS = 24 * 3_600_000
/** Nothing is redelivered by the clock: a successor begins where the acknowledged ends. */
const ACK_WAIT_MS = INACTIVE_MS
/** Shards given away and back within this time go on from where they were: owners flap while a mesh starts. */
const REMEMBER_MS = 60_000
/** Beyond so many, all are merged into one. */
const FEEDS_MAX = 4
const DELIVERY_BYTES = 1024 * 1024
const PREFETCH_BYTES = 2 * 1024 * 1024
const MESSAGE_OVERHEAD_BYTES = 256
const RETRY_FIRST_MS = 100
const RETRY_MOST_MS = 5000

/** A connection with the stream at its other end. */
export interface StreamAccess {
  readonly nc: NatsConnection
  readonly manager: JetStreamManager
  readonly info: StreamInfo
  readonly messageBytesMax: number
  /** What the server's clock shows more than ours. */
  readonly clockAheadMs: number
  newInbox(): string
  /** Something is wrong with the stream: it is looked at, and attached to again. */
  fail(reason: string): void
}

export interface ConsumptionOptions {
  readonly name: string
  readonly onBatch: BatchHandler
  readonly subjects: NatsSubjects
  readonly clock: Clock
  readonly random: Random
  readonly counters: TransportCounters
  readonly onClose: () => void
}

/** One durable consumer that runs. */
interface Feed {
  readonly consumer: string
  /** Those of its filter that are still ours. */
  readonly shards: Set<number>
  readonly access: StreamAccess
  pull: NatsPull | undefined
  /** Stream sequence up to which everything was handled. */
  handled: number
  pending: number
  gatheredBytes: number
  isStopped: boolean
}

interface Gathered {
  readonly feed: Feed
  readonly message: Message
  readonly sequence: number
  readonly reply: string
}

/** Where a shard that has no feed would go on. */
interface Position {
  readonly handled: number
  readonly untilMs: number
}

type Start = { readonly sequence: number } | 'back'

const costOf = ({ bytes }: Message): number => bytes.length + MESSAGE_OVERHEAD_BYTES

export class NatsConsumption implements Consumption {
  private readonly options: ConsumptionOptions
  private readonly consumerPrefix: string
  private readonly backoff: Backoff
  private readonly gathered = new Deque<Gathered>()
  private readonly positions = new Map<number, Position>()
  private wanted: ReadonlySet<number> | undefined
  private feeds: Feed[] = []
  private access: StreamAccess | undefined
  private boundTo: StreamAccess | undefined
  private mustBind = false
  private isChanged = false
  private isArranging = false
  private handling = 0
  private isClosed = false

  constructor(options: ConsumptionOptions) {
    this.options = options
    this.consumerPrefix = `${escapeName(options.name)}_`
    const { clock, random } = options
    this.backoff = new Backoff({ clock, random, firstMs: RETRY_FIRST_MS, mostMs: RETRY_MOST_MS })
  }

  assign(shards: ReadonlySet<number>): void {
    this.wanted = new Set(shards)
    this.arrange()
  }

  lag(): number {
    let lag = this.gathered.length + this.handling
    for (const { pending } of this.feeds) lag += pending
    return lag
  }

  close(): Promise<void> {
    if (!this.isClosed) {
      this.isClosed = true
      this.backoff.stop()
      for (const feed of this.feeds) stopFeed(feed)
      this.gathered.clear()
      this.options.onClose()
    }
    return Promise.resolve()
  }

  /** The stream can be used from now on. */
  attach(access: StreamAccess): void {
    if (this.isClosed) return
    this.access = access
    this.mustBind = true
    this.arrange()
  }

  detach(): void {
    this.access = undefined
    this.stopFeeds()
  }

  /** Makes the feeds what they should be; once at a time, again while that changes. */
  private arrange(): void {
    this.isChanged = true
    if (!this.isArranging) void this.arrangeAll()
  }

  private async arrangeAll(): Promise<void> {
    this.isArranging = true
    while (this.isChanged && this.access !== undefined && !this.isClosed) {
      this.isChanged = false
      const { access } = this
      try {
        await this.arrangeOnce(access, this.wanted)
      } catch (error) {
        if (this.access === access) {
          this.detach()
          access.fail(`consumer ${this.options.name}: ${(error as Error).message}`)
        }
      }
    }
    this.isArranging = false
  }

  private async arrangeOnce(
    access: StreamAccess,
    wanted: ReadonlySet<number> | undefined,
  ): Promise<void> {
    // Until it is told of shards it leaves what is there alone.
    if (wanted === undefined) return
    if (this.mustBind || this.feeds.length > FEEDS_MAX) {
      await this.bind(access, wanted)
      return
    }
    await this.release(access, wanted)
    const had = new Set(this.feeds.flatMap(({ shards }) => [...shards]))
    await this.begin(
      access,
      [...wanted].filter((shard) => !had.has(shard)),
    )
  }

  /** Makes one successor of all that is there, and consumers for the shards that are new. */
  private async bind(access: StreamAccess, wanted: ReadonlySet<number>): Promise<void> {
    this.mustBind = false
    this.stopFeeds()
    this.checkPositions(access)
    const known = new Set(this.positions.keys())
    const predecessors = await this.predecessors(access)
    for (const { config, ack_floor: floor } of predecessors) {
      const filters = config.filter_subjects ?? []
      for (const shard of this.options.subjects.shardsOf(filters)) {
        // What this process handled itself is surer than what the server had heard of it.
        if (!known.has(shard)) this.remember(shard, floor.stream_seq, REMEMBER_MS)
      }
    }
    await this.begin(access, [...wanted])
    for (const [shard, { handled }] of this.positions) {
      if (!wanted.has(shard)) this.remember(shard, handled, REMEMBER_MS)
    }
    await Promise.all(
      predecessors.map(({ name }) => deleteConsumer(access, this.options.subjects.stream, name)),
    )
  }

  /** What is remembered of an earlier connection may no longer hold. */
  private checkPositions(access: StreamAccess): void {
    const { info } = access
    const nowMs = this.options.clock.monotonicMs()
    const isAnother = info.created !== this.boundTo?.info.created
    for (const [shard, { handled, untilMs }] of this.positions) {
      if (isAnother || untilMs <= nowMs) this.positions.delete(shard)
      else if (access !== this.boundTo && handled > info.state.last_seq) {
        // The stream lost its end: those sequences will be given to new messages.
        this.positions.set(shard, { handled: info.state.last_seq, untilMs })
      }
    }
    this.boundTo = access
  }

  private async predecessors(access: StreamAccess): Promise<ConsumerInfo[]> {
    const found: ConsumerInfo[] = []
    for await (const info of access.manager.consumers.list(this.options.subjects.stream)) {
      const suffix = info.name.slice(this.consumerPrefix.length)
      const isOurs = info.name.startsWith(this.consumerPrefix) && /^[0-9a-f]{16}$/.test(suffix)
      if (isOurs) found.push(info)
    }
    return found
  }

  /** Shards given away: their messages are ignored from now on, and feeds without any end. */
  private async release(access: StreamAccess, wanted: ReadonlySet<number>): Promise<void> {
    for (const feed of this.feeds) {
      for (const shard of feed.shards) {
        if (wanted.has(shard)) continue
        feed.shards.delete(shard)
        this.remember(shard, feed.handled, REMEMBER_MS)
      }
    }
    const spent = this.feeds.filter(({ shards }) => shards.size === 0)
    this.feeds = this.feeds.filter(({ shards }) => shards.size > 0)
    for (const feed of spent) {
      this.stop(feed)
      await deleteConsumer(access, this.options.subjects.stream, feed.consumer)
    }
  }

  /** Feeds for shards that have none. */
  private async begin(access: StreamAccess, shards: readonly number[]): Promise<void> {
    const nowMs = this.options.clock.monotonicMs()
    const known: number[] = []
    const fresh: number[] = []
    let handled = Number.POSITIVE_INFINITY
    for (const shard of shards) {
      const position = this.positions.get(shard)
      if (position !== undefined && position.untilMs > nowMs) {
        known.push(shard)
        handled = Math.min(handled, position.handled)
      } else fresh.push(shard)
    }
    if (known.length > 0) await this.add(access, known, { sequence: handled + 1 })
    if (fresh.length > 0) await this.add(access, fresh, 'back')
  }

  private async add(access: StreamAccess, shards: readonly number[], start: Start): Promise<void> {
    const { subjects, random, clock } = this.options
    const consumer = `${this.consumerPrefix}${Buffer.from(random.bytes(8)).toString('hex')}`
    const info = await access.manager.consumers.add(subjects.stream, {
      durable_name: consumer,
      ack_policy: 'all',
      ack_wait: ACK_WAIT_MS * NS_PER_MS,
      max_ack_pending: -1,
      inactive_threshold: INACTIVE_MS * NS_PER_MS,
      filter_subjects: subjects.ofShards(shards),
      ...startConfig(start, access, clock),
    })
    // Detached or closed meanwhile: the successor of the successor will find it.
    if (this.access !== access || this.isClosed) return
    const feed: Feed = {
      consumer,
      shards: new Set(shards),
      access,
      pull: undefined,
      handled: info.ack_floor.stream_seq,
      pending: info.num_pending,
      gatheredBytes: 0,
      isStopped: false,
    }
    this.feeds.push(feed)
    for (const shard of shards) this.positions.delete(shard)
    feed.pull = new NatsPull(
      {
        nc: access.nc,
        stream: subjects.stream,
        consumer,
        clock,
        bytesMax: Math.max(PREFETCH_BYTES, access.messageBytesMax + 8192),
        onMessage: (message) => this.receive(feed, message),
        onBroken: () => this.rebind(feed),
        wants: () => feed.gatheredBytes < PREFETCH_BYTES,
      },
      access.newInbox(),
    )
  }

  private rebind(feed: Feed): void {
    if (feed.isStopped || this.access !== feed.access) return
    this.mustBind = true
    this.arrange()
  }

  private receive(feed: Feed, message: Msg): void {
    const { subjects, counters } = this.options
    const delivery = deliveryOf(message.reply)
    if (delivery === undefined) return
    feed.pending = delivery.pending
    counters.receivedMessages += 1
    counters.receivedBytes += message.data.length
    const topic = subjects.topicOf(message.subject)
    if (topic === undefined) {
      counters.rejectedMessages += 1
      return
    }
    if (!feed.shards.has(Number(topic.split('/', 2)[1]))) return
    const bytes = Buffer.from(message.data)
    const item = { topic, bytes, from: undefined }
    feed.gatheredBytes += costOf(item)
    this.gathered.push({
      feed,
      message: item,
      sequence: delivery.streamSequence,
      reply: message.reply!,
    })
    if (this.handling === 0) {
      // The rest of what the socket brought in this turn belongs to the same batch.
      this.handling = 1
      queueMicrotask(() => void this.handleAll())
    }
  }

  private async handleAll(): Promise<void> {
    while (this.gathered.length > 0 && !this.isClosed) {
      const batch = this.take()
      this.handling = batch.length
      await this.hand(batch.map(({ message }) => message))
      if (this.isClosed) break
      this.acknowledge(batch)
    }
    this.handling = 0
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
        this.backoff.reset()
        return
      } catch {
        await this.backoff.wait()
      }
    }
  }

  private acknowledge(batch: readonly Gathered[]): void {
    const last = new Map<Feed, Gathered>()
    for (const item of batch) {
      item.feed.gatheredBytes -= costOf(item.message)
      last.set(item.feed, item)
    }
    for (const [feed, { sequence, reply }] of last) {
      feed.handled = Math.max(feed.handled, sequence)
      if (feed.isStopped) continue
      try {
        feed.access.nc.publish(reply)
        feed.pull?.pull()
      } catch {
        // The connection is gone: the successor begins after what was handled all the same.
      }
    }
  }

  private stopFeeds(): void {
    for (const feed of this.feeds) {
      this.stop(feed)
      for (const shard of feed.shards) this.remember(shard, feed.handled, Number.POSITIVE_INFINITY)
    }
    this.feeds = []
  }

  private stop(feed: Feed): void {
    stopFeed(feed)
    this.gathered.retain((item) => item.feed !== feed)
  }

  private remember(shard: number, handled: number, forMs: number): void {
    const least = Math.min(handled, this.positions.get(shard)?.handled ?? handled)
    const untilMs = this.options.clock.monotonicMs() + forMs
    this.positions.set(shard, { handled: least, untilMs })
  }
}

function stopFeed(feed: Feed): void {
  feed.isStopped = true
  feed.pull?.stop()
}

function startConfig(start: Start, { clockAheadMs }: StreamAccess, clock: Clock) {
  if (start !== 'back') {
    return { deliver_policy: 'by_start_sequence' as const, opt_start_seq: start.sequence }
  }
  const startMs = clock.nowUs() / 1000 + clockAheadMs - CONSUME_BACK_MS
  return {
    deliver_policy: 'by_start_time' as const,
    opt_start_time: new Date(startMs).toISOString(),
  }
}

async function deleteConsumer(access: StreamAccess, stream: string, name: string): Promise<void> {
  try {
    await access.manager.consumers.delete(stream, name)
  } catch {
    // Gone already, or the server is: then the next bind finds it, or it is deleted as inactive.
  }
}
