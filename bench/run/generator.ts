// Publishes as a load says: on a plan that waits for nobody, or as fast as receipts come.
import { setImmediate as turn } from 'node:timers/promises'
import { nowUs } from '../measure/clock.ts'
import type { Readings } from '../readings.ts'
import type { Producer } from '../systems/system.ts'
import { batchNumber, type Assignment } from './messages.ts'
import { Pacer } from './pacer.ts'

/** Samples, messages and bytes without their receipt, the same bounds for every system. */
const PENDING_SAMPLES_MAX = 200_000
const PENDING_MESSAGES_MAX = 32_768
const PENDING_BYTES_MAX = 16 * 1024 * 1024
/** It goes on when so much of the bound is left. */
const GO_ON_BELOW = 0.75
/** Published in one turn of the event loop, so that a client can pack them. */
const BURST_SAMPLES = 1_000
const BURST_MESSAGES = 500

export interface GeneratorOptions {
  readonly assignment: Assignment
  readonly producer: Producer
  readonly readings: Readings
  /** Samples with a receipt, so far. */
  readonly receipts: () => number
}

export class Generator {
  published = 0
  private batches = 0
  private goOn: (() => void) | undefined
  private readonly options: GeneratorOptions

  constructor(options: GeneratorOptions) {
    this.options = options
  }

  /** Publishes each batch when it is due; the times at which it was handed over, µs, by batch. */
  async openLoop(dueUs: Float64Array): Promise<Float64Array> {
    const sentUs = new Float64Array(dueUs.length)
    const pacer = new Pacer(dueUs, this.options.assignment.load.publishers)
    let next = 0
    while (next < dueUs.length) {
      await pacer.wake()
      for (let at = nowUs(); next < dueUs.length && dueUs[next]! <= at; at = nowUs()) {
        sentUs[next] = at
        this.publishBatch()
        next += 1
      }
      this.options.producer.kick?.()
    }
    await pacer.close()
    return sentUs
  }

  /** Publishes until `endUs`; waits while too much is without its receipt. */
  async flatOut(endUs: number): Promise<void> {
    const { assignment, producer } = this.options
    const { samplesPerFrame } = assignment.load
    const burst = Math.max(1, Math.min(BURST_MESSAGES, Math.floor(BURST_SAMPLES / samplesPerFrame)))
    while (nowUs() < endUs) {
      for (let i = 0; i < burst; i++) this.publishBatch()
      producer.kick?.()
      await turn()
      if (this.pending > this.pendingMax()) await this.room(endUs)
    }
  }

  /** Call it when samples have got their receipt: the generator may wait for that. */
  settled(): void {
    if (this.goOn !== undefined && this.pending <= this.pendingMax() * GO_ON_BELOW) this.goOn()
  }

  private get pending(): number {
    return this.published - this.options.receipts()
  }

  /** Samples. */
  private pendingMax(): number {
    const { assignment, producer } = this.options
    const { samplesPerFrame } = assignment.load
    const samplesPerByte = this.published / Math.max(1, producer.sentBytes())
    return Math.min(
      PENDING_SAMPLES_MAX,
      PENDING_MESSAGES_MAX * samplesPerFrame,
      Math.max(samplesPerFrame, PENDING_BYTES_MAX * samplesPerByte),
    )
  }

  /** Resolves when there is room for more, or at `endUs`. */
  private async room(endUs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.goOn = resolve
    const timer = setTimeout(resolve, Math.max(0, endUs - nowUs()) / 1000)
    await promise
    clearTimeout(timer)
    this.goOn = undefined
  }

  private publishBatch(): void {
    const { assignment, producer, readings } = this.options
    const { load, process } = assignment
    const batch = batchNumber(this.batches, process, load)
    this.batches += 1
    const source = batch % load.sources
    const first = batch * load.samplesPerFrame
    producer.publish(source, readings.samples(source, first, load.samplesPerFrame))
    this.published += load.samplesPerFrame
  }
}
