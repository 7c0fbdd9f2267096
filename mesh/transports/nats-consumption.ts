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
//   assign    [1 2 3] [7]          7 from CONSUME_BACK_MS before now; 2 given away: ignored in [1 2 3],
//                                  which its metadata says to whoever comes after a crash
//   bind      [1 3 7]              after a reconnection, or when there are too many
import type { ConsumerInfo, StreamInfo } from '@nats-io/jetstream'
import { Backoff } from '../broker/backoff.ts'
import type { Clock, Random } from '../clock.ts'
import type { BatchHandler, Consumption, TransportCounters } from '../transport.ts'
import { CONSUME_BACK_MS } from '../transport.ts'
import type { StreamAccess } from './nats-feed.ts'
import { NatsFeed } from './nats-feed.ts'
import { NatsHandover } from './nats-handover.ts'
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
/** Metadata of a consumer: the shards of its filter that it acknowledges without handling them. */
const RELEASED = 'skein-released'
const RETRY_FIRST_MS = 100
const RETRY_MOST_MS = 5000
/** A consumer that lived shorter is not replaced at once: another process may be using this name. */
const STEADY_MS = 10_000

export interface ConsumptionOptions {
  readonly name: string
  readonly onBatch: BatchHandler
  readonly subjects: NatsSubjects
  readonly clock: Clock
  readonly random: Random
  readonly counters: TransportCounters
  readonly onClose: () => void
}

/** Where a shard that has no feed would go on. */
interface Position {
  readonly handled: number
  readonly untilMs: number
}

type Start = { readonly sequence: number } | 'back'

export class NatsConsumption implements Consumption {
  private readonly options: ConsumptionOptions
  private readonly consumerPrefix: string
  private readonly handover: NatsHandover
  private readonly binds: Backoff
  private readonly positions = new Map<number, Position>()
  private wanted: ReadonlySet<number> | undefined
  private feeds: NatsFeed[] = []
  /** Of the feeds before, while there are none. */
  private lastLag = 0
  private access: StreamAccess | undefined
  private streamCreated = ''
  private boundMs = Number.NEGATIVE_INFINITY
  private mustBind = false
  private isChanged = false
  private isArranging = false
  private isClosed = false

  constructor(options: ConsumptionOptions) {
    this.options = options
    this.consumerPrefix = `${escapeName(options.name)}_`
    const { clock, random } = options
    this.handover = new NatsHandover(options)
    this.binds = new Backoff({ clock, random, firstMs: RETRY_FIRST_MS, mostMs: RETRY_MOST_MS })
  }

  assign(shards: ReadonlySet<number>): void {
    this.wanted = new Set(shards)
    this.arrange()
  }

  lag(): number {
    if (this.feeds.length === 0) return this.lastLag
    let lag = this.handover.length
    for (const { pending } of this.feeds) lag += pending
    return lag
  }

  close(): Promise<void> {
    if (!this.isClosed) {
      this.isClosed = true
      this.binds.stop()
      this.handover.close()
      for (const feed of this.feeds) feed.stop()
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
    this.lastLag = 0
  }

  /** Makes one successor of all that is there, and consumers for the shards that are new. */
  private async bind(access: StreamAccess, wanted: ReadonlySet<number>): Promise<void> {
    this.stopFeeds()
    await this.pace()
    if (this.access !== access || this.isClosed) return
    this.mustBind = false
    this.checkPositions(await access.manager.streams.info(this.options.subjects.stream))
    const known = new Set(this.positions.keys())
    const predecessors = await this.predecessors(access)
    for (const { config, ack_floor: floor } of predecessors) {
      const released = new Set((config.metadata?.[RELEASED] ?? '').split(','))
      for (const shard of this.options.subjects.shardsOf(config.filter_subjects ?? [])) {
        // What this process handled itself is surer than what the server had heard of it.
        if (known.has(shard) || released.has(String(shard))) continue
        this.remember(shard, floor.stream_seq, REMEMBER_MS)
      }
    }
    await this.begin(access, [...wanted])
    for (const [shard, { handled }] of this.positions) {
      if (!wanted.has(shard)) this.remember(shard, handled, REMEMBER_MS)
    }
    await Promise.all(
      predecessors.map(({ name }) => deleteConsumer(access, this.options.subjects.stream, name)),
    )
    this.lastLag = 0
  }

  /** Waits when the last bind was short before this one. */
  private async pace(): Promise<void> {
    const { clock } = this.options
    if (clock.monotonicMs() - this.boundMs > STEADY_MS) this.binds.reset()
    else await this.binds.wait()
    this.boundMs = clock.monotonicMs()
  }

  /** What is remembered may no longer hold: the stream may be another one, or have lost its end. */
  private checkPositions({ created, state }: StreamInfo): void {
    const nowMs = this.options.clock.monotonicMs()
    for (const [shard, { handled, untilMs }] of this.positions) {
      if (created !== this.streamCreated || untilMs <= nowMs) this.positions.delete(shard)
      else if (handled > state.last_seq) {
        // Those sequences will be given to new messages.
        this.positions.set(shard, { handled: state.last_seq, untilMs })
      }
    }
    this.streamCreated = created
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
    const { stream } = this.options.subjects
    const changed = this.feeds.filter((feed) => this.releaseFrom(feed, wanted))
    this.feeds = this.feeds.filter(({ shards }) => shards.size > 0)
    for (const feed of changed) {
      if (feed.shards.size > 0) {
        const metadata = { [RELEASED]: [...feed.released].join() }
        await access.manager.consumers.update(stream, feed.consumer, { metadata })
      } else {
        feed.stop()
        await deleteConsumer(access, stream, feed.consumer)
      }
    }
  }

  private releaseFrom(feed: NatsFeed, wanted: ReadonlySet<number>): boolean {
    const released = [...feed.shards].filter((shard) => !wanted.has(shard))
    for (const shard of released) {
      feed.release(shard)
      this.remember(shard, feed.handled, REMEMBER_MS)
    }
    return released.length > 0
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
    const feed: NatsFeed = new NatsFeed({
      ...this.options,
      access,
      handover: this.handover,
      consumer,
      shards,
      handled: info.ack_floor.stream_seq,
      pending: info.num_pending,
      onBroken: () => this.rebind(feed),
    })
    this.feeds.push(feed)
    for (const shard of shards) this.positions.delete(shard)
  }

  private rebind(feed: NatsFeed): void {
    if (!this.feeds.includes(feed)) return
    this.mustBind = true
    this.arrange()
  }

  private stopFeeds(): void {
    this.lastLag = this.lag()
    for (const feed of this.feeds) {
      feed.stop()
      for (const shard of feed.shards) this.remember(shard, feed.handled, Number.POSITIVE_INFINITY)
    }
    this.feeds = []
  }

  private remember(shard: number, handled: number, forMs: number): void {
    const least = Math.min(handled, this.positions.get(shard)?.handled ?? handled)
    const untilMs = this.options.clock.monotonicMs() + forMs
    this.positions.set(shard, { handled: least, untilMs })
  }
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
