// A publisher under faults: it lives in the test's own process, outside of what is killed, and each of its
// receipts goes to the ledger at once.
import { eventually } from '../../mesh/conformance/eventually.ts'
import {
  systemClock,
  type Clock,
  type Publisher,
  type Session,
  type Timer,
} from '../../mesh/index.ts'
import { openPublisher, openSession } from '../../nodes/index.ts'
import type { TestMesh } from '../harness/mesh.ts'
import { Ledger } from './ledger.ts'
import { Samples, type Series } from './samples.ts'

export interface LoadOptions {
  readonly seed: number
  readonly sources: number
  readonly streams: number
  /** All series together. */
  readonly samplesPerSecond: number
  /** Text in each sample. */
  readonly textBytes: number
}

const TICK_MS = 10
const ACKED_MS = 60_000

export class Load implements AsyncDisposable {
  readonly ledger: Ledger
  readonly streams: readonly string[]
  private readonly options: LoadOptions
  private readonly samples: Samples
  private readonly series: readonly Series[]
  private readonly clock: ShiftedClock
  private session!: Session
  private publisher!: Publisher
  private timer: NodeJS.Timeout | undefined
  private next = 0

  private constructor(options: LoadOptions) {
    const { seed, sources, streams, textBytes } = options
    this.options = options
    this.clock = new ShiftedClock()
    this.samples = new Samples(seed, this.clock.nowUs(), textBytes)
    this.ledger = new Ledger(this.samples)
    this.streams = Array.from({ length: streams }, (_, i) => `faults.s${i + 1}`)
    this.series = Array.from({ length: sources }, (_, i) => `source-${i + 1}`).flatMap((source) =>
      this.streams.map((stream) => ({ source, stream })),
    )
  }

  /** Begins to publish. */
  static async open(mesh: TestMesh, options: LoadOptions): Promise<Load> {
    const load = new Load(options)
    const { clock, ledger } = load
    const seeds = mesh.stores.map(({ endpoint }) => endpoint)
    load.session = await openSession(mesh.config(seeds), { clock })
    load.publisher = await openPublisher(load.session, mesh.config(seeds), {
      outboxName: 'load',
      onReceipt: (receipt) => ledger.acknowledged(receipt),
    })
    load.start()
    return load
  }

  /** Samples acknowledged. */
  get acked(): number {
    return this.ledger.samples
  }

  get pending(): number {
    return this.publisher.pendingSamples
  }

  /** So much time has passed, since it was made, for whatever the publisher asks the clock for. */
  passTime(us: number): void {
    this.clock.shiftUs = us
  }

  /** Resolves when so many more samples than now are acknowledged. */
  async ackedMore(samples: number): Promise<void> {
    const goal = this.acked + samples
    await eventually(() => this.acked >= goal, {
      what: `${samples} more samples are acknowledged, ${this.pending} wait`,
      deadlineMs: ACKED_MS,
      everyMs: 5,
    })
  }

  /** Begins to publish, or goes on after a stop. */
  start(): void {
    const startedMs = systemClock.monotonicMs()
    let published = 0
    this.timer = setInterval(() => {
      const due = ((systemClock.monotonicMs() - startedMs) / 1000) * this.options.samplesPerSecond
      for (; published < due; published += 1) this.publishOne()
    }, TICK_MS)
  }

  /** Publishes no more for now; resolves when all that was published is acknowledged. */
  async stop(): Promise<void> {
    clearInterval(this.timer)
    await eventually(() => this.pending === 0, {
      what: 'all that was published is acknowledged',
      deadlineMs: ACKED_MS,
      everyMs: 5,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.timer)
    await this.publisher.close({ drainMs: 0 })
    await this.session.close()
  }

  private publishOne(): void {
    const series = this.series[this.next % this.series.length]!
    this.next += 1
    const sample = this.samples.sample(series, this.ledger.countOf(series))
    // What a full outbox refuses was not published: the next one has its number.
    if (this.publisher.publish(series.stream, series.source, sample)) this.ledger.published(series)
  }
}

/** The system's, so much later. */
class ShiftedClock implements Clock {
  shiftUs = 0

  nowUs(): number {
    return systemClock.nowUs() + this.shiftUs
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.shiftUs / 1000
  }

  startTimer(delayMs: number, callback: () => void): Timer {
    return systemClock.startTimer(delayMs, callback)
  }
}
