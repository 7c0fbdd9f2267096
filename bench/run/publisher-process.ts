// A process that publishes: opens the client of its system, runs its load once, tells what came of it.
import { setTimeout as delay } from 'node:timers/promises'
import { nowUs } from '../measure/clock.ts'
import { readingsOf, numberOf } from '../readings.ts'
import { clientOf } from '../systems/clients.ts'
import type { Producer } from '../systems/system.ts'
import { Generator } from './generator.ts'
import { serveClient, tell } from './client-process.ts'
import {
  batchesPerSecond,
  numbersEnd,
  type Assignment,
  type Progress,
  type Published,
} from './messages.ts'
import { plannedUs } from './plan.ts'
import { Tally } from './tally.ts'

/** How long receipts may take once all is published. */
const DRAIN_MS = 60_000
const LOOK_MS = 5

serveClient(async (assignment) => {
  const publishing = await Publishing.open(assignment)
  return {
    go: (startUs) => publishing.run(startUs),
    close: () => publishing.close(),
  }
})

class Publishing {
  private readonly assignment: Assignment
  private readonly plan: Float64Array | undefined
  private readonly receipts: Tally
  private lost = 0
  private lostWhy: string | undefined
  private producer!: Producer
  private generator!: Generator

  static async open(assignment: Assignment): Promise<Publishing> {
    const publishing = new Publishing(assignment)
    await publishing.open()
    return publishing
  }

  private constructor(assignment: Assignment) {
    this.assignment = assignment
    const { load, process } = assignment
    const { rate, schedule, warmupSeconds, seconds, seed } = load
    if (rate !== undefined) {
      this.plan = plannedUs({
        schedule,
        rate: batchesPerSecond(load),
        seconds: warmupSeconds + seconds,
        seed: seed + process,
      })
    }
    this.receipts = new Tally(this.plan && numbersEnd(this.plan.length, load))
  }

  private async open(): Promise<void> {
    const { channel, load, process, baseUs } = this.assignment
    const readings = readingsOf(load, baseUs)
    const client = await clientOf(channel.setting.system)
    this.producer = await client.openProducer({
      channel,
      form: load.form,
      samplesPerFrame: load.samplesPerFrame,
      sources: readings.sources,
      schema: readings.schema,
      process,
      onReceipt: (samples) => {
        const atUs = nowUs()
        for (const { timeUs } of samples) this.receipts.add(numberOf(baseUs, timeUs), atUs)
        this.generator.settled()
      },
      onLost: (count, why) => {
        this.lost += count
        this.lostWhy ??= why
        this.generator.settled()
      },
    })
    this.generator = new Generator({
      assignment: this.assignment,
      producer: this.producer,
      readings,
      receipts: () => this.receipts.count + this.lost,
    })
  }

  async run(startUs: number): Promise<void> {
    const { warmupSeconds, seconds } = this.assignment.load
    const warmUs = startUs + warmupSeconds * 1e6
    const endUs = warmUs + seconds * 1e6
    const warmed = this.at(warmUs, true)
    const ended = this.at(endUs, false)
    const dueUs = this.plan?.map((atUs) => startUs + atUs)
    const sentUs = dueUs && (await this.generator.openLoop(dueUs))
    if (dueUs === undefined) await this.generator.flatOut(endUs)
    await Promise.all([warmed, ended])
    await this.drained()
    const { count, duplicates, timesUs } = this.receipts
    const published: Published = {
      published: this.generator.published,
      receipts: count,
      duplicates,
      lost: this.lost,
      ...(this.lostWhy !== undefined && { lostWhy: this.lostWhy }),
      ...(dueUs && { dueUs }),
      ...(sentUs && { sentUs }),
      ...(timesUs && { receiptUs: timesUs }),
    }
    tell({ type: 'published', published })
  }

  close(): Promise<void> {
    return this.producer.close()
  }

  private async at(atUs: number, isOpen: boolean): Promise<void> {
    await delay(Math.max(0, (atUs - nowUs()) / 1000))
    tell({ type: 'window', isOpen, progress: this.progress() })
  }

  private progress(): Progress {
    return {
      atUs: nowUs(),
      published: this.generator.published,
      receipts: this.receipts.count,
      sentBytes: this.producer.sentBytes(),
      sentMessages: this.producer.sentMessages(),
    }
  }

  /** Resolves when every sample has its receipt, or none will come; systems without receipts have none. */
  private async drained(): Promise<void> {
    if (!this.producer.hasReceipts) return
    const untilMs = performance.now() + DRAIN_MS
    while (performance.now() < untilMs) {
      if (this.receipts.count + this.lost >= this.generator.published) return
      await delay(LOOK_MS)
    }
  }
}
