// A live subscriber: gets the frames of some streams as they are published, in sequence order within
// each epoch, at most once, and is told of what it did not get (docs/delivery.md §9). Repair from the
// stores is not its business: what it missed can be asked for by a query.
//
//   message ─► frames of wanted streams and sources ─► order per lane ─► queue (bounded) ─► onFrames
import type { Clock, Timer } from './clock.ts'
import { codecFor } from './codecs/index.ts'
import { readFrame, type Frame } from './frame.ts'
import { IntervalSet } from './intervals.ts'
import type { MeshIdentity } from './membership.ts'
import { readMessage } from './message.ts'
import { parseLaneKey, type Lane, type LaneKey, type PeerId } from './names.ts'
import type { Sample } from './sample.ts'
import { SchemaExchange } from './schema-exchange.ts'
import type { Schema } from './schema.ts'
import type { Message, Subscription, Transport } from './transport.ts'

export const QUEUE_BYTES_DEFAULT = 16 * 1024 * 1024
/** Lanes whose progress is remembered; beyond it the oldest one is begun anew. */
const LANES_MAX = 100_000
/** How often an unknown schema is asked for again. */
const ASK_MS = 500

export interface LiveFrame extends Lane {
  readonly sequence: number
  readonly samples: readonly Sample[]
  readonly schema: Schema
  /** A later frame of its lane was delivered before it. */
  readonly late: boolean
}

/** Sequences that were not delivered: not (yet) received, or dropped here because the reader is slow. */
export interface Missed extends Lane {
  readonly from: number
  readonly to: number
  readonly reason: 'gap' | 'slow'
}

export interface SubscriberOptions {
  readonly mesh: MeshIdentity
  readonly transport: Transport
  readonly clock: Clock
  /** Streams wanted; all when absent. */
  readonly streams?: readonly string[]
  /** Sources wanted; all when absent. */
  readonly sources?: ReadonlySet<string>
  /** Bytes of frames that may wait for a slow reader; the oldest make room. Default 16 MiB. */
  readonly queueBytes?: number
  /** Called with frames in order; while its promise is pending, frames wait in the queue. */
  readonly onFrames: (frames: readonly LiveFrame[]) => void | Promise<void>
  readonly onMissed?: (missed: Missed) => void
  /** Called when it is closed: whoever holds it may let it go. */
  readonly onClosed?: () => void
}

export interface SubscriberCounters {
  frames: number
  samples: number
  lateFrames: number
  duplicateFrames: number
  missedFrames: number
  rejectedMessages: number
  rejectedFrames: number
  /** Batches that the reader threw on. */
  failedBatches: number
}

interface LaneProgress {
  /** Greatest sequence seen. */
  last: number
  /** What was seen: one run, as long as nothing is missed. */
  seen: IntervalSet
}

interface Queued {
  readonly frame: Frame
  readonly late: boolean
  /** Who can be asked for its schema. */
  readonly from: PeerId | undefined
}

export class Subscriber implements AsyncDisposable {
  readonly counters: SubscriberCounters = {
    frames: 0,
    samples: 0,
    lateFrames: 0,
    duplicateFrames: 0,
    missedFrames: 0,
    rejectedMessages: 0,
    rejectedFrames: 0,
    failedBatches: 0,
  }
  private readonly options: SubscriberOptions
  private readonly schemas: SchemaExchange
  private readonly lanes = new Map<LaneKey, LaneProgress>()
  /** Frames that wait for a schema, and those of their lanes that came after them. */
  private parked: Queued[] = []
  private readonly parkedLanes = new Set<LaneKey>()
  private parkedBytes = 0
  private asking: Timer | undefined
  private queue: Queued[] = []
  private queuedBytes = 0
  private delivering = false
  private subscriptions: Subscription[] = []

  constructor(options: SubscriberOptions) {
    this.options = options
    const { mesh, transport, clock } = options
    this.schemas = new SchemaExchange({
      mesh,
      transport,
      clock,
      scope: 'all',
      onSchema: (schema) => this.schemaArrived(schema),
    })
  }

  async start(): Promise<void> {
    const { transport, streams } = this.options
    await this.schemas.start()
    const patterns = streams?.map((stream) => `t/*/${stream}`) ?? ['t/>']
    for (const pattern of patterns) {
      this.subscriptions.push(await transport.subscribe(pattern, (batch) => this.receive(batch)))
    }
  }

  async close(): Promise<void> {
    this.asking?.cancel()
    for (const subscription of this.subscriptions.splice(0)) await subscription.close()
    await this.schemas.close()
    this.parked = []
    this.queue = []
    this.queuedBytes = 0
    this.options.onClosed?.()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private receive(batch: readonly Message[]): void {
    for (const { bytes, from } of batch) {
      const message = readMessage(bytes, this.options.mesh.id)
      if (typeof message === 'string') {
        this.counters.rejectedMessages += 1
        continue
      }
      // The transport takes its buffer back, and the queue outlives this call: one copy per frame.
      for (const view of message.frames) this.take(readFrame(Buffer.from(view)), from)
    }
    void this.deliver()
  }

  private take(frame: ReturnType<typeof readFrame>, from: PeerId | undefined): void {
    if (typeof frame === 'string') {
      this.counters.rejectedFrames += 1
      return
    }
    const { sources } = this.options
    if (sources !== undefined && !sources.has(frame.source)) return
    const order = this.order(frame)
    if (order === 'duplicate') this.counters.duplicateFrames += 1
    else if (frame.kind === 'data') this.enqueue({ frame, late: order === 'late', from })
  }

  /** Where the frame stands in its lane; tells of a hole when it shows. */
  private order(frame: Frame): 'next' | 'late' | 'duplicate' {
    const { laneKey, sequence } = frame
    const progress = this.lanes.get(laneKey)
    if (progress === undefined) {
      // Joined in the middle: what came before was never ours to get.
      this.lanes.set(laneKey, { last: sequence, seen: new IntervalSet([1, sequence]) })
      if (this.lanes.size > LANES_MAX) this.lanes.delete(this.lanes.keys().next().value!)
      return 'next'
    }
    if (sequence > progress.last) {
      if (sequence > progress.last + 1) {
        this.missed(laneKey, progress.last + 1, sequence - 1, 'gap')
      }
      progress.last = sequence
      progress.seen.add(sequence)
      return 'next'
    }
    if (progress.seen.has(sequence)) return 'duplicate'
    progress.seen.add(sequence)
    this.counters.lateFrames += 1
    return 'late'
  }

  private enqueue(item: Queued): void {
    const { schemaId, laneKey, bytes } = item.frame
    if (this.schemas.get(schemaId) === undefined || this.parkedLanes.has(laneKey)) {
      this.park(item)
      return
    }
    this.queue.push(item)
    this.queuedBytes += bytes.length
    let drop = 0
    for (; this.queuedBytes > this.limitBytes && drop < this.queue.length - 1; drop++) {
      this.queuedBytes -= this.queue[drop]!.frame.bytes.length
      this.tooSlow(this.queue[drop]!)
    }
    if (drop > 0) this.queue.splice(0, drop)
  }

  private park(item: Queued): void {
    this.parked.push(item)
    this.parkedLanes.add(item.frame.laneKey)
    this.parkedBytes += item.frame.bytes.length
    while (this.parkedBytes > this.limitBytes && this.parked.length > 1) {
      const oldest = this.parked.shift()!
      this.parkedBytes -= oldest.frame.bytes.length
      this.tooSlow(oldest)
    }
    this.ask()
  }

  /** Asks for what is missing, again and again: a question or its answer may be lost. */
  private ask(): void {
    for (const { frame, from } of this.parked) {
      if (this.schemas.get(frame.schemaId) === undefined) this.schemas.ask(frame.schemaId, from)
    }
    this.asking ??= this.options.clock.startTimer(ASK_MS, () => {
      this.asking = undefined
      if (this.parked.length > 0) this.ask()
    })
  }

  private schemaArrived(schema: Schema): void {
    this.schemas.add(schema)
    const waiting = this.parked
    this.parked = []
    this.parkedBytes = 0
    this.parkedLanes.clear()
    // In the order they came: what still has no schema is parked again, with its lane behind it.
    for (const item of waiting) this.enqueue(item)
    void this.deliver()
  }

  private get limitBytes(): number {
    return this.options.queueBytes ?? QUEUE_BYTES_DEFAULT
  }

  private tooSlow({ frame: { laneKey, sequence } }: Queued): void {
    this.missed(laneKey, sequence, sequence, 'slow')
  }

  private async deliver(): Promise<void> {
    if (this.delivering) return
    this.delivering = true
    while (this.queue.length > 0) {
      const batch = this.queue
      this.queue = []
      this.queuedBytes = 0
      const frames = batch.flatMap((item) => this.decode(item) ?? [])
      try {
        await this.options.onFrames(frames)
      } catch {
        // The reader's mistake must not end the subscription; what it was given counts as delivered.
        this.counters.failedBatches += 1
      }
    }
    this.delivering = false
  }

  private decode({ frame, late }: Queued): LiveFrame | undefined {
    const schema = this.schemas.get(frame.schemaId)!
    const { source, stream, epoch, sequence } = frame
    try {
      const samples = codecFor(frame.codec).decode(frame.body, frame.count, schema)
      this.counters.frames += 1
      this.counters.samples += samples.length
      return { source, stream, epoch, sequence, samples, schema, late }
    } catch {
      // A body that is not what its header says: its publisher's mistake, not ours to throw on.
      this.counters.rejectedFrames += 1
      this.missed(frame.laneKey, sequence, sequence, 'gap')
      return undefined
    }
  }

  private missed(key: LaneKey, from: number, to: number, reason: Missed['reason']): void {
    this.counters.missedFrames += to - from + 1
    this.options.onMissed?.({ ...parseLaneKey(key), from, to, reason })
  }
}
