// A vehicle, or a whole fleet of them in one process: reads its sources on a schedule fixed in
// advance and publishes what they measure. A sample carries the time it was planned for, so whoever
// compares that with the time of its arrival sees every delay, its own lateness included.
import type { Clock, Publisher, Sample, Session, Timer } from '../mesh/index.ts'
import { publishOrRefuse } from './publishing.ts'
import { seldom } from './seldom.ts'

export interface VehicleSource {
  readonly source: string
  /** What it measures at a planned time, µs since the Unix epoch. */
  sample(timeUs: number): Sample
  /** Whether it has a network at the time last sampled for. */
  isOnline(): boolean
}

export interface VehicleOptions {
  readonly session: Session
  readonly publisher: Publisher
  readonly clock: Clock
  readonly stream: string
  readonly sources: readonly VehicleSource[]
  /** Of each source. */
  readonly samplesPerSecond: number
  /** Called for a sample that the full outbox, or its disk, refused. */
  readonly onRefused?: () => void
  /** Something that people should know and that ends nothing. */
  readonly onWarning?: (message: string) => void
}

export class VehicleNode {
  /** Samples that were due. */
  planned = 0
  private readonly options: VehicleOptions
  private readonly online: boolean[]
  private readonly warn: (message: string) => void
  private startUs = 0
  private timer: Timer | undefined
  private stopped = false

  constructor(options: VehicleOptions) {
    this.options = options
    this.online = options.sources.map(() => true)
    this.warn = seldom(options.clock, (message) => options.onWarning?.(message))
  }

  start(): void {
    this.startUs = this.options.clock.nowUs()
    this.turn()
  }

  /** Publishes nothing more. */
  stop(): void {
    this.stopped = true
    this.timer?.cancel()
  }

  /** Publishes everything that has come due, spread evenly over the sources, and sleeps until the next. */
  private turn(): void {
    const { clock, sources, samplesPerSecond } = this.options
    const stepUs = 1e6 / (samplesPerSecond * sources.length)
    const dueUs = clock.nowUs() - this.startUs
    for (; this.planned * stepUs <= dueUs && !this.stopped; this.planned++) {
      this.publish(this.planned % sources.length, this.startUs + Math.round(this.planned * stepUs))
    }
    if (this.stopped) return
    const waitMs = (this.startUs + this.planned * stepUs - clock.nowUs()) / 1000
    this.timer = clock.startTimer(Math.max(1, waitMs), () => this.turn())
  }

  private publish(index: number, timeUs: number): void {
    const { publisher, stream, sources, onRefused } = this.options
    const vehicle = sources[index]!
    const sample = vehicle.sample(timeUs)
    const online = vehicle.isOnline()
    if (online !== this.online[index]) {
      this.online[index] = online
      publisher.setOnline(vehicle.source, online)
    }
    if (!publishOrRefuse(publisher, [stream, vehicle.source, sample], this.warn)) onRefused?.()
  }
}
