// For tests of the systems: one producer and one consumer on a channel, and what became of each sample.
import { expect } from 'vitest'
import type { Form } from '../load.ts'
import { numberOf, readingsOf } from '../readings.ts'
import type { BenchClient, Channel, Consumer, Producer } from './system.ts'

const BASE_US = 1_790_000_000_000_000
const SOURCES = 20
const WAIT = { timeout: 20_000, interval: 5 }

export class Exchange implements AsyncDisposable {
  /** By number: how often. */
  readonly receipts = new Map<number, number>()
  readonly arrivals = new Map<number, number>()
  lost = 0
  readonly channel: Channel
  private readonly client: BenchClient
  private readonly form: Form
  private readonly readings = readingsOf({ sources: SOURCES, seed: 3 }, BASE_US)
  private readonly open: (Producer | Consumer)[] = []
  private producer!: Producer
  private published = 0

  static async open(
    client: BenchClient,
    channel: Channel,
    form: Form = 'native',
  ): Promise<Exchange> {
    const exchange = new Exchange(client, channel, form)
    await exchange.consume()
    exchange.producer = await client.openProducer({
      channel,
      form,
      samplesPerFrame: 1,
      sources: exchange.readings.sources,
      schema: exchange.readings.schema,
      process: 0,
      onReceipt: (samples) => count(exchange.receipts, samples),
      onLost: (lost) => (exchange.lost += lost),
    })
    exchange.open.push(exchange.producer)
    return exchange
  }

  private constructor(client: BenchClient, channel: Channel, form: Form) {
    this.client = client
    this.channel = channel
    this.form = form
  }

  /** Another consumer, whose arrivals are told. */
  async consumeAll(): Promise<ReadonlyMap<number, number>> {
    const arrivals = new Map<number, number>()
    await this.consume(arrivals, true)
    return arrivals
  }

  publish(samples: number, samplesPerFrame = 1): void {
    for (let i = 0; i < samples; i += samplesPerFrame) {
      const source = this.published % SOURCES
      const batch = this.readings.samples(source, this.published, samplesPerFrame)
      this.producer.publish(source, batch)
      this.published += samplesPerFrame
    }
    this.producer.kick?.()
  }

  /** Resolves when as many samples have their receipt. */
  async received(samples: number): Promise<void> {
    await expect.poll(() => this.receipts.size, WAIT).toBeGreaterThanOrEqual(samples)
  }

  /** Every sample has arrived, and has its receipt where there are receipts. */
  async whole(arrivals: ReadonlyMap<number, number> = this.arrivals): Promise<void> {
    await expect.poll(() => arrivals.size, WAIT).toBe(this.published)
    if (!this.producer.hasReceipts) return
    await expect.poll(() => this.receipts.size, WAIT).toBe(this.published)
    expect(this.lost).toBe(0)
  }

  /** As `whole`, and each once. */
  async settled(arrivals: ReadonlyMap<number, number> = this.arrivals): Promise<void> {
    await this.whole(arrivals)
    expect(repeatsIn(arrivals)).toEqual([])
    expect(repeatsIn(this.receipts)).toEqual([])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of this.open) await each.close()
  }

  private async consume(arrivals = this.arrivals, fromStart = false): Promise<void> {
    const { client, channel, form, open } = this
    open.push(
      await client.openConsumer({
        channel,
        form,
        fromStart,
        process: open.length,
        onSamples: (samples) => count(arrivals, samples),
      }),
    )
  }
}

/** How often what came more than once. */
function repeatsIn(tally: ReadonlyMap<number, number>): number[] {
  return [...tally.values()].filter((times) => times > 1)
}

function count(tally: Map<number, number>, samples: readonly { readonly timeUs: number }[]): void {
  for (const { timeUs } of samples) {
    const number = numberOf(BASE_US, timeUs)
    tally.set(number, (tally.get(number) ?? 0) + 1)
  }
}
