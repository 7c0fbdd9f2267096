// The processes of `skein up`: storage peers, an aggregator, then the fleet; and this process as a live
// subscriber, which measures how long a sample takes from its planned time to another process.
//
//   storage-1 ──► storage-2 … and the aggregator, side by side ──► W stores acknowledge ──► fleet
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { systemClock, type Session } from '../../mesh/index.ts'
import {
  hasSeeds,
  onAnyPort,
  openSession,
  type Config,
  type StorageStats,
} from '../../nodes/index.ts'
import { FLEET_STREAM, type FleetCounts } from '../../sim/index.ts'
import { Child, END_MS, type ChildRole } from './child.ts'
import type { ChildMessage, Quantiles } from './child-messages.ts'
import type { Reach } from './data-directory.ts'

/** What happened is shown this long, as far as there is room. */
const MESSAGE_MS = 60_000
const MESSAGES_MAX = 50
/** Nodes that share a trouble say so within this time: the first one's word is enough. */
const TOGETHER_MS = 10_000
/** How long the fleet waits for stores that acknowledge; then it starts and its outbox gathers. */
const QUORUM_MS = 10_000

export interface LocalMeshOptions {
  readonly config: Config
  /** Flags that every node gets, before its own. */
  readonly flags: readonly string[]
  /** Something happened that people should read. */
  readonly onLog: (line: string) => void
}

export interface DerivedCounts {
  readonly results: number
  readonly pending: number
}

/** How long each part may take to end; the storage peers have what is left until `stopByMs`. */
export interface StopLimits {
  readonly fleetMs: number
  readonly aggregatorMs: number
  /** By performance.now(). */
  readonly stopByMs: number
}

/** A storage peer that closes in less than this is not broken off, however late it is. */
const STORAGE_MS_MIN = 1_000

const NO_COUNTS: FleetCounts = {
  published: 0,
  stored: 0,
  refused: 0,
  dropped: 0,
  pending: 0,
}

export class LocalMesh {
  readonly liveUs: RecordableHistogram = createHistogram()
  readonly stores = new Map<string, StorageStats>()
  readonly derived = new Map<string, DerivedCounts>()
  readonly memory = new Map<string, number>()
  readonly startedUs = systemClock.nowUs()
  storedUs: Quantiles = { p50: 0, p99: 0, max: 0 }
  /** Why the fleet's samples are not acknowledged just now. */
  trouble: string | undefined
  liveSamples = 0
  missedFrames = 0
  /** How it is reached, once that is known. */
  reach: Reach
  private readonly options: LocalMeshOptions
  /** Newest first. */
  private readonly messages: { readonly line: string; readonly atMs: number }[] = []
  /** When each warning was passed on, by its text. */
  private readonly warnedMs = new Map<string, number>()
  private readonly children: Child[] = []
  private session: Session | undefined
  /** Of the fleet's process now, and of those that ended before it. */
  private fleetNow: FleetCounts = NO_COUNTS
  private fleetBefore: FleetCounts = NO_COUNTS
  /** Set while somebody waits for another view of the members. */
  private onMembersChanged: (() => void) | undefined

  constructor(options: LocalMeshOptions) {
    this.options = options
    const { transport, seeds } = options.config
    this.reach = { transport, seeds }
  }

  /**
   * `onReach` learns how the mesh is reached as soon as that is known.
   * @throws StartError with what the first node that failed said.
   */
  async start(onReach: (reach: Reach) => void): Promise<void> {
    const { storage, aggregators, vehicles } = this.options.config.up
    const group = (role: ChildRole, count: number): Child[] =>
      Array.from({ length: count }, (_, i) => this.child(role, i + 1))
    const [first, ...stores] = group('storage', storage)
    const others = [...stores, ...group('aggregator', aggregators)]
    const fleets = group('fleet', vehicles > 0 ? 1 : 0)
    await first!.start()
    if (this.hasSeeds) this.reach = { ...this.reach, seeds: [first!.endpoint!] }
    onReach(this.reach)
    await Promise.all([this.listen(), ...others.map((child) => child.start())])
    if (fleets.length > 0) await this.quorum()
    await Promise.all(fleets.map((child) => child.start()))
  }

  /** Parks the fleet and waits until what it published is stored. */
  async stopFleet(drainMs: number): Promise<void> {
    await this.stopRole('fleet', drainMs)
  }

  /** Ends everything, what publishes before what stores. */
  async stop({ fleetMs, aggregatorMs, stopByMs }: StopLimits): Promise<void> {
    await this.stopRole('fleet', fleetMs)
    await Promise.all([this.session?.close(), this.stopRole('aggregator', aggregatorMs)])
    const leftMs = stopByMs - performance.now() - END_MS
    await this.stopRole('storage', Math.max(STORAGE_MS_MIN, leftMs))
  }

  /** At once, for a second Ctrl-C. */
  kill(): void {
    for (const child of this.children) child.kill()
  }

  /** Of all lives of the fleet's process. */
  get fleet(): FleetCounts {
    return addCounts(this.fleetBefore, this.fleetNow)
  }

  /** What happened in the last minute, newest first. */
  recentMessages(): string[] {
    const sinceMs = performance.now() - MESSAGE_MS
    return this.messages.flatMap(({ line, atMs }) => (atMs < sinceMs ? [] : [line]))
  }

  get nodes(): readonly Child[] {
    return this.children
  }

  private async stopRole(role: ChildRole, drainMs: number): Promise<void> {
    const group = this.children.filter((child) => child.role === role)
    await Promise.all(group.map((child) => child.stop(drainMs)))
  }

  private async listen(): Promise<void> {
    const config = onAnyPort({ ...this.options.config, ...this.reach })
    this.session = await openSession(config, {
      roles: ['subscriber'],
      name: 'skein up',
      onWarning: (message) => this.warned('', message),
      onChange: () => this.onMembersChanged?.(),
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

  /** Resolves when W stores acknowledge, or after QUORUM_MS. */
  private async quorum(): Promise<void> {
    const { writeQuorum } = this.options.config.mesh
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = (): void => {
      const stores = this.session!.membership.stores()
      const able = stores.filter(({ suspect, refusing }) => !suspect && refusing === undefined)
      if (able.length >= writeQuorum) resolve()
    }
    this.onMembersChanged = look
    const timer = setTimeout(resolve, QUORUM_MS)
    look()
    await promise
    clearTimeout(timer)
    this.onMembersChanged = undefined
  }

  private child(role: ChildRole, index: number): Child {
    const name = `${role}-${index}`
    const child: Child = new Child({
      name,
      role,
      args: () => [
        ...this.options.flags,
        ...this.ownFlags(role, index),
        'node',
        role,
        '--name',
        name,
      ],
      onMessage: (message) => this.hear(child, message),
      onLog: (line) => this.log(line),
    })
    this.children.push(child)
    return child
  }

  private get hasSeeds(): boolean {
    return hasSeeds(this.options.config.transport.name)
  }

  private ownFlags(role: ChildRole, index: number): string[] {
    const { port } = this.options.config.storage.http
    return [
      ...(this.hasSeeds ? this.addressFlags(role === 'storage' && index === 1) : []),
      // One port was configured and several peers want one: they take those that follow it.
      ...(port === 0 ? [] : ['--set', `storage.http.port=${port + index - 1}`]),
    ]
  }

  /** The first storage peer is everybody's seed: it founds the mesh, the others join it. */
  private addressFlags(isFirst: boolean): string[] {
    const { config } = this.options
    const seed = this.reach.seeds[0] ?? 'tcp://127.0.0.1:0'
    const { transport } = onAnyPort(config)
    const bind = isFirst ? seed : 'bind' in transport ? transport.bind : undefined
    return ['--seed', seed, ...(bind === undefined ? [] : ['--set', `zeromq.bind=${bind}`])]
  }

  private hear(child: Child, message: ChildMessage): void {
    switch (message.type) {
      case 'storage':
        this.stores.set(child.name, message.stats)
        this.memory.set(child.name, message.stats.rssBytes)
        break
      case 'fleet':
        this.fleetNow = message.counts
        this.storedUs = message.storedUs
        this.trouble = message.trouble
        this.memory.set(child.name, message.rssBytes)
        break
      case 'aggregator':
        this.derived.set(child.name, message)
        this.memory.set(child.name, message.rssBytes)
        break
      case 'warning':
        this.warned(`${child.name}: `, message.message)
        break
      case 'ready':
        if (child.role === 'fleet') {
          this.fleetBefore = this.fleet
          this.fleetNow = NO_COUNTS
        }
        break
      case 'failed':
        break
    }
  }

  private warned(by: string, message: string): void {
    const nowMs = performance.now()
    for (const [text, saidMs] of this.warnedMs) {
      if (nowMs - saidMs > TOGETHER_MS) this.warnedMs.delete(text)
    }
    if (this.warnedMs.has(message)) return
    this.warnedMs.set(message, nowMs)
    this.log(by + message)
  }

  private log(line: string): void {
    this.messages.unshift({ line, atMs: performance.now() })
    this.messages.length = Math.min(this.messages.length, MESSAGES_MAX)
    this.options.onLog(line)
  }
}

function addCounts(a: FleetCounts, b: FleetCounts): FleetCounts {
  return {
    published: a.published + b.published,
    stored: a.stored + b.stored,
    refused: a.refused + b.refused,
    dropped: a.dropped + b.dropped,
    // What a life that ended had not delivered waits for nobody.
    pending: b.pending,
  }
}
