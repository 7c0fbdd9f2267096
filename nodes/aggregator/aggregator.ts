// The aggregator: reads live streams, runs the operators declared in the configuration, and publishes
// what they find as streams of their own, so that queries see them like any other.
//
//   live frames ──► operators (windows, thresholds) ──► results ──► publisher
import {
  compileSchema,
  type Clock,
  type JsonSchema,
  type LiveFrame,
  type Publisher,
  type Session,
  type Subscriber,
  type Timer,
} from '../../mesh/index.ts'
import type { Config } from '../config/config.ts'
import { openPublisher, publishOrRefuse } from '../publishing.ts'
import { seldom } from '../seldom.ts'
import type { Operator, Result } from './operator.ts'
import { thresholdSchema, windowSchema } from './output-schemas.ts'
import { Thresholds } from './thresholds.ts'
import { TumblingWindows } from './windows.ts'

const ADVANCE_MS = 1000

export interface AggregatorOptions {
  readonly session: Session
  readonly config: Config
  readonly clock: Clock
  readonly outboxName: string
  /** Schemas of streams it may read, for their units; those that the configuration gives come first. */
  readonly inputSchemas?: Readonly<Record<string, JsonSchema>>
  /** Something that people should know and that ends nothing. */
  readonly onWarning?: (message: string) => void
}

export class AggregatorNode {
  results = 0
  refused = 0
  private readonly options: AggregatorOptions
  private readonly operators: readonly Operator[]
  private readonly warn: (message: string) => void
  private publisher: Publisher | undefined
  private subscriber: Subscriber | undefined
  private timer: Timer | undefined

  constructor(options: AggregatorOptions) {
    this.options = options
    this.warn = seldom(options.clock, (message) => options.onWarning?.(message))
    const { windows, thresholds } = options.config.aggregator
    this.operators = [
      ...windows.map((definition) => new TumblingWindows(definition)),
      ...thresholds.map((definition) => new Thresholds(definition)),
    ]
  }

  /** Results that are not stored yet. */
  get pending(): number {
    return this.publisher?.pendingSamples ?? 0
  }

  /** Why no result is acknowledged just now, if so. */
  trouble(): string | undefined {
    return this.publisher?.trouble()
  }

  /** Streams it reads and streams it writes. */
  get streams(): { readonly reads: readonly string[]; readonly writes: readonly string[] } {
    return {
      reads: [...new Set(this.operators.map(({ stream }) => stream))],
      writes: this.operators.map(({ output }) => output),
    }
  }

  async start(): Promise<void> {
    const { session, config, outboxName, onWarning } = this.options
    this.publisher = await openPublisher(session, config, {
      outboxName,
      schemas: this.outputSchemas(),
      ...(onWarning !== undefined && { onWarning }),
    })
    const { reads } = this.streams
    if (reads.length === 0) return
    this.subscriber = await session.subscriber({
      streams: reads,
      onFrames: (frames) => this.process(frames),
    })
    this.advance()
  }

  /** Emits what is still open and waits until it is stored. Returns the samples that were not. */
  async close(drainMs: number): Promise<number> {
    this.timer?.cancel()
    await this.subscriber?.close()
    for (const operator of this.operators) this.publish(operator, operator.drain())
    return (await this.publisher?.close({ drainMs })) ?? 0
  }

  private process(frames: readonly LiveFrame[]): void {
    const nowUs = this.options.clock.nowUs()
    for (const { stream, source, samples } of frames) {
      for (const operator of this.operators) {
        if (operator.stream !== stream) continue
        for (const sample of samples) this.publish(operator, operator.add(source, sample, nowUs))
      }
    }
  }

  private advance(): void {
    const { clock } = this.options
    for (const operator of this.operators) this.publish(operator, operator.advance(clock.nowUs()))
    this.timer = clock.startTimer(ADVANCE_MS, () => this.advance())
  }

  private publish({ output }: Operator, results: readonly Result[]): void {
    for (const { source, timeUs, fields } of results) {
      const sample = { timeUs, fields }
      if (publishOrRefuse(this.publisher!, [output, source, sample], this.warn)) this.results += 1
      else this.refused += 1
    }
  }

  /** Units carry over from inputs whose schema is known. */
  private outputSchemas(): Record<string, JsonSchema> {
    const { config, inputSchemas = {} } = this.options
    const { aggregator, publisher } = config
    const inputOf = (stream: string): JsonSchema | undefined =>
      publisher.streams[stream]?.schema ?? inputSchemas[stream]
    const schemas: Record<string, JsonSchema> = {}
    for (const window of aggregator.windows) {
      schemas[window.output] = windowSchema(window, inputOf(window.stream))
    }
    for (const threshold of aggregator.thresholds) {
      schemas[threshold.output] = thresholdSchema(threshold, inputOf(threshold.stream))
    }
    for (const json of Object.values(schemas)) compileSchema(json)
    return schemas
  }
}
