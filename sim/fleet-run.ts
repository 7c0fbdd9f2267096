// The simulated fleet as a running program: vehicles on their roads, published through one publisher,
// with the time from a sample's planned moment to its receipt.
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { systemClock, type FrameReceipt, type Publisher, type Session } from '../mesh/index.ts'
import { openPublisher, openSession, VehicleNode, type Config } from '../nodes/index.ts'
import { createFleet, FLEET_SCHEMA, FLEET_STREAM, type Fleet } from './fleet.ts'

export interface FleetRunOptions {
  readonly config: Config
  /** Names the outbox directory, when there is a disk outbox. */
  readonly outboxName: string
  readonly onWarning?: (message: string) => void
}

export interface FleetCounts {
  readonly published: number
  readonly stored: number
  readonly refused: number
  readonly dropped: number
  readonly pending: number
}

export class FleetRun {
  /** Planned time to receipt, µs; samples of a vehicle that was off the network count from its return. */
  readonly storedLatencyUs: RecordableHistogram = createHistogram()
  private readonly options: FleetRunOptions
  private readonly onlineSinceUs = new Map<string, number>()
  private fleet: Fleet | undefined
  private session: Session | undefined
  private publisher: Publisher | undefined
  private vehicles: VehicleNode | undefined
  private refused = 0

  constructor(options: FleetRunOptions) {
    this.options = options
  }

  async start(): Promise<void> {
    const { config, outboxName, onWarning } = this.options
    const { vehicles, seed, samplesPerSecond } = config.up
    this.session = await openSession(config, onWarning === undefined ? {} : { onWarning })
    this.publisher = await openPublisher(this.session, config, {
      outboxName,
      schemas: { [FLEET_STREAM]: FLEET_SCHEMA },
      onReceipt: (receipt) => this.received(receipt),
      ...(onWarning !== undefined && { onWarning }),
    })
    const fleet = createFleet({ vehicles, seed, startUs: systemClock.nowUs() })
    this.fleet = fleet
    this.vehicles = new VehicleNode({
      session: this.session,
      publisher: this.publisher,
      clock: systemClock,
      stream: FLEET_STREAM,
      samplesPerSecond,
      sources: fleet.sources.map((source, index) => ({
        source,
        sample: (timeUs) => fleet.sample(index, timeUs),
        isOnline: () => this.isOnline(index, source),
      })),
      onRefused: () => (this.refused += 1),
      ...(onWarning !== undefined && { onWarning }),
    })
    this.vehicles.start()
  }

  counts(): FleetCounts {
    const { counters, pendingSamples } = this.publisher!
    return {
      published: counters.samplesPublished,
      stored: counters.samplesStored,
      refused: this.refused,
      pending: pendingSamples,
      dropped: counters.samplesDroppedNewest + counters.samplesDroppedOldest,
    }
  }

  /** Why nothing is acknowledged just now, if so. */
  trouble(): string | undefined {
    return this.publisher?.trouble()
  }

  /** Parks the vehicles and waits until all they sent is stored. Returns the samples that were not. */
  async close(drainMs: number): Promise<number> {
    this.vehicles?.stop()
    const undelivered = (await this.publisher?.close({ drainMs })) ?? 0
    await this.session?.close()
    return undelivered
  }

  private isOnline(index: number, source: string): boolean {
    const online = this.fleet!.isOnline(index)
    if (!online) this.onlineSinceUs.set(source, Infinity)
    else if (this.onlineSinceUs.get(source) === Infinity) {
      this.onlineSinceUs.set(source, systemClock.nowUs())
    }
    return online
  }

  private received({ source, timesUs }: FrameReceipt): void {
    const nowUs = systemClock.nowUs()
    const sinceUs = this.onlineSinceUs.get(source) ?? 0
    for (const timeUs of timesUs) {
      const latencyUs = nowUs - Math.max(timeUs, sinceUs)
      if (Number.isFinite(latencyUs))
        this.storedLatencyUs.record(Math.max(1, Math.round(latencyUs)))
    }
  }
}
