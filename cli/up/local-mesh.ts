// The processes of `skein up`: storage peers, then the aggregator, then the fleet; and this process as
// a live subscriber, which measures how long a sample takes from its planned time to another process.
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { systemClock, type Session } from '../../mesh/index.ts'
import { openSession, type Config } from '../../nodes/index.ts'
import { FLEET_STREAM, type FleetCounts } from '../../sim/index.ts'
import { Child } from './child.ts'
import type { ChildMessage, Quantiles, StoreStats } from './child-messages.ts'

const MESSAGES_MAX = 50

export interface LocalMeshOptions {
  readonly config: Config
  /** Flags that every node gets, before its own. */
  readonly flags: readonly string[]
}

export class LocalMesh {
  readonly liveUs: RecordableHistogram = createHistogram()
  readonly stores = new Map<string, StoreStats>()
  readonly startedUs = systemClock.nowUs()
  /** Newest first. */
  readonly messages: string[] = []
  fleet: FleetCounts | undefined
  storedUs: Quantiles = { p50: 0, p99: 0, max: 0 }
  trouble: string | undefined
  aggregated = { results: 0, samples: 0 }
  liveSamples = 0
  missedFrames = 0
  seeds: readonly string[] = []
  private readonly options: LocalMeshOptions
  private readonly children: Child[] = []
  private session: Session | undefined

  constructor(options: LocalMeshOptions) {
    this.options = options
  }

  /** @throws StartError with what the first node that failed said. */
  async start(): Promise<void> {
    const { config } = this.options
    // The first storage peer is everybody's seed: it founds the mesh, the others join it.
    const bind = config.seeds[0]!
    const first = this.child('storage', 1, ['--seed', bind, '--set', `zeromq.bind=${bind}`])
    await first.start()
    this.seeds = [first.endpoint!]
    const others = Array.from({ length: config.up.storage - 1 }, (_, i) =>
      this.child('storage', i + 2),
    )
    await Promise.all(others.map((child) => child.start()))
    await this.listen()
    const aggregators = Array.from({ length: config.up.aggregators }, (_, i) =>
      this.child('aggregator', i + 1),
    )
    await Promise.all(aggregators.map((child) => child.start()))
    if (config.up.vehicles > 0) await this.child('fleet', 1).start()
  }

  /** Parks the fleet and waits until what it published is stored. False when some of it was not. */
  async stopFleet(): Promise<boolean> {
    const fleets = this.children.filter(({ role }) => role === 'fleet')
    await Promise.all(fleets.map((child) => child.stop()))
    return fleets.every(({ exitCode }) => exitCode === 0)
  }

  async stop(): Promise<void> {
    await this.stopFleet()
    await this.session?.close()
    for (const role of ['aggregator', 'storage']) {
      const group = this.children.filter((child) => child.role === role)
      await Promise.all(group.map((child) => child.stop()))
    }
  }

  nodes(): ReturnType<Child['view']>[] {
    return this.children.map((child) => child.view())
  }

  storeChildren(): readonly Child[] {
    return this.children.filter(({ role }) => role === 'storage')
  }

  private async listen(): Promise<void> {
    const config = { ...this.options.config, seeds: this.seeds }
    this.session = await openSession(config, {
      roles: ['subscriber'],
      onWarning: (message) => this.log(message),
    })
    await this.session.subscriber({
      streams: [FLEET_STREAM],
      onFrames: (frames) => {
        const nowUs = systemClock.nowUs()
        for (const { samples, late } of frames) {
          this.liveSamples += samples.length
          if (late) continue
          for (const { timeUs } of samples) this.liveUs.record(Math.max(1, nowUs - timeUs))
        }
      },
      onMissed: ({ from, to }) => (this.missedFrames += to - from + 1),
    })
  }

  private child(role: Child['role'], index: number, own?: readonly string[]): Child {
    const name = `${role}-${index}`
    const child: Child = new Child({
      ...{ name, role },
      args: () => {
        const seeds = own ?? this.seeds.flatMap((seed) => ['--seed', seed])
        return [...this.options.flags, ...seeds, 'node', role, '--name', name]
      },
      onMessage: (message) => this.hear(child, message),
      onLog: (line) => this.log(line),
    })
    this.children.push(child)
    return child
  }

  private hear(child: Child, message: ChildMessage): void {
    switch (message.type) {
      case 'store':
        this.stores.set(child.name, message.stats)
        child.memoryBytes = message.stats.rssBytes
        break
      case 'fleet':
        this.fleet = message.counts
        this.storedUs = message.storedUs
        this.trouble = message.trouble
        break
      case 'aggregator':
        this.aggregated = message
        break
      case 'warning':
        this.log(`${child.name}: ${message.message}`)
        break
      case 'ready':
      case 'failed':
        break
    }
  }

  private log(line: string): void {
    this.messages.unshift(line)
    this.messages.length = Math.min(this.messages.length, MESSAGES_MAX)
  }
}
