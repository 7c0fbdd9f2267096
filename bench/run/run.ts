// One measurement from beginning to end: subscribers, publishers, warm-up, the measured window, drain,
// and the checks that decide whether it counts.
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { nowUs } from '../measure/clock.ts'
import { distribution } from '../measure/distribution.ts'
import type { Load } from '../load.ts'
import type { Cost, Run } from '../result.ts'
import { baseUsNow } from '../readings.ts'
import type { BenchSystem, Channel, Deployment, Setting } from '../systems/system.ts'
import { Accounts } from './accounts.ts'
import { Client } from './client.ts'
import type { Incident } from './incident.ts'
import {
  batchNumber,
  type Arrived,
  type Assignment,
  type Progress,
  type Published,
} from './messages.ts'
import { isSustained, voidsOf } from './verdict.ts'

export interface Cell {
  /** Names setting and load. */
  readonly name: string
  readonly setting: Setting
  readonly load: Load
  /** What is to be expected of receipts and fsyncs. */
  readonly system: Pick<BenchSystem, 'persists' | 'syncsAnyway'>
  /** What happens in the middle; a new one for each run. */
  readonly incident?: () => Incident
  /** A generator that was later than this at p99 voids the run, µs. Default 5,000. */
  readonly lagP99UsMax?: number
}

export interface RunOptions {
  readonly cell: Cell
  readonly block: number
  readonly deployment: Deployment
  /** Names the channel: never used before. */
  readonly channelName: string
  /** A folder for what its clients write, on the disk that the servers have. */
  readonly scratch: string
}

/** Clients have opened; the plan begins a little later, so that all hear of it before. */
const START_MS = 250
/** How long deliveries may take once everything is published and has its receipt. */
const ARRIVE_MS = 30_000
const LOOK_MS = 20

export async function runCell(options: RunOptions): Promise<Run> {
  const { cell, deployment, channelName } = options
  const channel = await deployment.channel(cell.setting, channelName)
  await using clients = new AsyncDisposableStack()
  const measurement = new Measurement(options, channel, clients)
  return await measurement.run()
}

class Measurement {
  private readonly options: RunOptions
  private readonly channel: Channel
  private readonly clients: AsyncDisposableStack
  private readonly incident: Incident | undefined
  private readonly baseUs = baseUsNow()
  private subscribers: readonly Client[] = []
  private publishers: readonly Client[] = []

  constructor(options: RunOptions, channel: Channel, clients: AsyncDisposableStack) {
    this.options = options
    this.incident = options.cell.incident?.()
    this.channel = channel
    this.clients = clients
  }

  async run(): Promise<Run> {
    const { incident } = this
    const { cell, deployment } = this.options
    const { load } = cell
    // Subscribers first: live is from now on.
    this.subscribers = await this.open('subscriber', load.subscribers)
    this.publishers = await this.open('publisher', load.publishers)
    const { publishers } = this
    const startUs = nowUs() + START_MS * 1000
    for (const publisher of publishers) publisher.send({ type: 'go', startUs })
    const opened = await this.window(true)
    const accounts = await Accounts.open(deployment.servers(), this.processes())
    const during = incident?.begin({
      deployment,
      startUs: startUs + load.warmupSeconds * 1e6,
      join: () => this.join(),
    })
    // Waited for below.
    during?.catch(() => undefined)
    const closed = await this.window(false)
    const cost = await accounts.close(
      sent(closed) - sent(opened),
      messages(closed) - messages(opened),
    )
    await during
    const published = await Promise.all(
      publishers.map(async (publisher) => (await publisher.next('published')).published),
    )
    const total = sum(published.map((each) => each.published))
    const arrived = await this.arrived(this.subscribers, total)
    const [readBack] = incident?.readsBack ? await this.arrived([await this.reader()], total) : []
    const run = this.summary(opened, closed, published, arrived, cost)
    return { ...run, ...incident?.figures({ load, published, arrived, readBack }) }
  }

  private async open(kind: 'publisher' | 'subscriber', count: number): Promise<Client[]> {
    return await Promise.all(
      Array.from({ length: count }, (_, process) => this.start(kind, { process })),
    )
  }

  private async start(
    kind: 'publisher' | 'subscriber',
    own: Pick<Assignment, 'process' | 'fromStart'>,
  ): Promise<Client> {
    const { channel, baseUs } = this
    const { cell, scratch, channelName } = this.options
    const { load } = cell
    const sinkPath = join(scratch, `${channelName}-${own.process}`)
    return this.clients.use(await Client.start(kind, { channel, load, baseUs, sinkPath, ...own }))
  }

  private reader(): Promise<Client> {
    return this.start('subscriber', { process: this.subscribers.length, fromStart: true })
  }

  private async join(): Promise<void> {
    this.subscribers = [...this.subscribers, await this.reader()]
  }

  private async window(isOpen: boolean): Promise<Progress[]> {
    const messages = await Promise.all(this.publishers.map((each) => each.next('window')))
    if (messages.some((message) => message.isOpen !== isOpen))
      throw new Error('windows out of order')
    return messages.map(({ progress }) => progress)
  }

  private processes() {
    return [...this.publishers, ...this.subscribers].map(({ name, pid }) => ({ name, pid }))
  }

  /** What subscribers got, once they have everything or get no more of it. */
  private async arrived(subscribers: readonly Client[], published: number): Promise<Arrived[]> {
    const untilMs = performance.now() + ARRIVE_MS
    const reports = (withTimes: boolean): Promise<Arrived[]> =>
      Promise.all(
        subscribers.map(async (subscriber) => {
          subscriber.send({ type: 'report', withTimes })
          return (await subscriber.next('arrived')).arrived
        }),
      )
    while (performance.now() < untilMs) {
      const arrived = await reports(false)
      if (arrived.every(({ count }) => count >= published)) break
      await delay(LOOK_MS)
    }
    return await reports(true)
  }

  private summary(
    opened: readonly Progress[],
    closed: readonly Progress[],
    published: readonly Published[],
    arrived: readonly Arrived[],
    cost: Cost,
  ): Run {
    const { cell, block } = this.options
    const { load, setting } = cell
    const warmUs = load.warmupSeconds * 1e6
    const windowSeconds = (closed[0]!.atUs - opened[0]!.atUs) / 1e6
    const perSecond = (of: (progress: Progress) => number): number =>
      (sum(closed.map(of)) - sum(opened.map(of))) / windowSeconds
    const counts = countsOf(cell, published, arrived)
    const latencies = latenciesOf(load, warmUs, published, arrived)
    const run = {
      cell: cell.name,
      block,
      setting,
      load,
      counts,
      publishedPerSecond: perSecond((progress) => progress.published),
      receiptsPerSecond: perSecond((progress) => progress.receipts),
      deliveredPerSecond:
        load.subscribers === 0
          ? 0
          : sum(arrived.map(({ count }) => count)) / (load.warmupSeconds + load.seconds),
      ...latencies,
      cost,
    }
    const why = published.find(({ lostWhy }) => lostWhy !== undefined)?.lostWhy
    const voids = voidsOf(run, cell, why, this.incident?.mayLose)
    return { ...run, isSustained: isSustained(run), voids }
  }
}

function countsOf(cell: Cell, published: readonly Published[], arrived: readonly Arrived[]) {
  const total = sum(published.map((each) => each.published))
  const receipts = sum(published.map((each) => each.receipts))
  const delivered = sum(arrived.map(({ count }) => count))
  const missing = total * arrived.length - delivered
  return {
    published: total,
    receipts,
    delivered,
    duplicates: sum(arrived.map((each) => each.duplicates)),
    lost: missing + (cell.system.persists ? total - receipts : 0),
  }
}

/** From the planned time, of what was planned after the warm-up. */
function latenciesOf(
  load: Load,
  warmUs: number,
  published: readonly Published[],
  arrived: readonly Arrived[],
): Pick<Run, 'live' | 'receipt' | 'lag'> {
  if (published.some(({ dueUs }) => dueUs === undefined)) return {}
  const lag: number[] = []
  const live: number[] = []
  const receipt: number[] = []
  for (const [process, { dueUs, sentUs, receiptUs }] of published.entries()) {
    const fromUs = dueUs![0]! + warmUs
    for (let own = 0; own < dueUs!.length; own++) {
      const due = dueUs![own]!
      if (due < fromUs) continue
      lag.push(sentUs![own]! - due)
      const first = batchNumber(own, process, load) * load.samplesPerFrame
      for (let number = first; number < first + load.samplesPerFrame; number++) {
        const gotUs = receiptUs![number]!
        if (gotUs > 0) receipt.push(gotUs - due)
        for (const { arrivalUs } of arrived) {
          const cameUs = arrivalUs?.[number] ?? 0
          if (cameUs > 0) live.push(cameUs - due)
        }
      }
    }
  }
  const [liveUs, receiptUs, lagUs] = [live, receipt, lag].map(distribution)
  return {
    ...(liveUs && { live: liveUs }),
    ...(receiptUs && { receipt: receiptUs }),
    ...(lagUs && { lag: lagUs }),
  }
}

const sent = (all: readonly Progress[]): number => sum(all.map(({ sentBytes }) => sentBytes))
const messages = (all: readonly Progress[]): number =>
  sum(all.map(({ sentMessages }) => sentMessages))

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
