// A fleet of vehicles in a process of its own, and what it has said: every receipt, and how it is doing.
import { join } from 'node:path'
import { eventually } from '../../mesh/conformance/eventually.ts'
import type { Epoch, StoreId } from '../../mesh/index.ts'
import type { Config } from '../../nodes/index.ts'
import { runFleet } from './fleet-body.ts'
import { LocalProgram, type LocalBody } from './local-program.ts'
import type { TestMesh } from './mesh.ts'
import type { Namespace } from './namespace.ts'
import { hostSettings } from './network.ts'
import type { Runner } from './program.ts'

export interface FleetOrders {
  readonly config: Config
  readonly vehicles: number
  /** Of each. */
  readonly samplesPerSecond: number
  /** Names its outbox and its vehicles; default `fleet`. */
  readonly name?: string
  readonly seed?: number
  /** How far its clock is ahead of this machine's; default 0. */
  readonly clockAheadUs?: number
}

/** One frame that W stores hold. */
export interface ReceiptMessage {
  readonly source: string
  readonly epoch: Epoch
  readonly sequence: number
  readonly timesUs: readonly number[]
  readonly stores: readonly StoreId[]
  /** When the publisher learned of it, ms since the Unix epoch. */
  readonly atMs: number
}

export interface FleetStatus {
  readonly published: number
  readonly stored: number
  readonly refused: number
  readonly outboxBytes: number
  readonly pendingSamples: number
  readonly rssBytes: number
  /** Heap and buffers in use after the collection last asked for. */
  readonly heldBytes: number
}

export type FleetMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'receipts'; readonly receipts: readonly ReceiptMessage[] }
  | { readonly type: 'status'; readonly status: FleetStatus }

export interface FleetOptions extends Omit<FleetOrders, 'config'> {
  /** As `--set`. */
  readonly settings?: readonly string[]
  readonly nodeFlags?: readonly string[]
  /** Where it runs; this host when absent. */
  readonly space?: Namespace
}

const START_MS = 30_000

export class Fleet {
  readonly receipts: ReceiptMessage[] = []
  readonly statuses: (FleetStatus & { readonly atMs: number })[] = []
  readonly program: Runner
  /** Samples acknowledged. */
  acked = 0

  constructor(mesh: TestMesh, options: FleetOptions) {
    const { settings = [], nodeFlags = [], space, ...rest } = options
    const seeds = mesh.stores.map(({ endpoint }) => endpoint)
    const own = hostSettings(mesh.network, space?.address ?? mesh.network.host)
    const orders: FleetOrders = { ...rest, config: mesh.config(seeds, [...settings, ...own]) }
    this.program =
      mesh.network.transport === 'memory'
        ? mesh.runs(new LocalProgram((warn) => this.runHere(orders, warn)))
        : mesh.start({
            name: rest.name ?? 'fleet',
            script: join(import.meta.dirname, 'fleet-child.ts'),
            args: [JSON.stringify(orders)],
            nodeFlags: ['--expose-gc', ...nodeFlags],
            ...(space && { under: space.enter }),
            onMessage: (message) => this.hear(message as FleetMessage),
          })
  }

  private async runHere(orders: FleetOrders, warn: (line: string) => void): Promise<LocalBody> {
    const fleet = await runFleet(orders, (message) => this.hear(message), warn)
    return {
      handle: ({ type }) => (type === 'park' ? fleet.park() : fleet.collect()),
      stop: () => fleet.stop(),
      abandon: () => fleet.abandon(),
    }
  }

  /** The vehicles stop; what they published is still on its way. */
  park(): void {
    this.program.send({ type: 'park' })
  }

  /** Ends at once; what is not acknowledged stays in the outbox, if it has one on disk. */
  async abandon(): Promise<void> {
    this.program.send({ type: 'abandon' })
    await eventually(() => !this.program.isRunning, {
      what: 'the fleet has ended',
      deadlineMs: START_MS,
    })
  }

  get status(): FleetStatus {
    return this.statuses.at(-1)!
  }

  /** Resolves when so many more samples than now are acknowledged. */
  async ackedMore(samples: number, deadlineMs = START_MS): Promise<void> {
    const goal = this.acked + samples
    await eventually(() => this.acked >= goal || !this.program.isRunning, {
      what: `${samples} more samples are acknowledged\n${this.program.said}`,
      deadlineMs,
      everyMs: 10,
    })
    if (this.acked < goal) throw new Error(`the fleet has ended\n${this.program.said}`)
  }

  /** Resolves when so many more samples than now wait for their acknowledgement. */
  async pendingMore(samples: number): Promise<void> {
    const goal = this.status.pendingSamples + samples
    await eventually(() => this.status.pendingSamples >= goal, {
      what: `${samples} more samples wait`,
      deadlineMs: START_MS,
      everyMs: 10,
    })
  }

  /** What the process holds on to, garbage collected; bytes. */
  async heldBytes(): Promise<number> {
    const seen = this.statuses.length
    this.program.send({ type: 'collect' })
    const status = await eventually(
      () => this.statuses.slice(seen).find(({ heldBytes }) => heldBytes > 0),
      { what: 'the fleet has collected its garbage', everyMs: 10 },
    )
    return status.heldBytes
  }

  /** Parks the vehicles; resolves when all that they published is acknowledged. */
  async stop(): Promise<void> {
    const code = await this.program.stop()
    if (code !== 0) throw new Error(`the fleet ended with ${code}\n${this.program.said}`)
  }

  /** The longest time without any receipt between two moments, ms; of some receipts only, if told so. */
  longestPauseMs(
    fromMs: number,
    toMs: number,
    counts: (receipt: ReceiptMessage) => boolean = () => true,
  ): number {
    let last = fromMs
    let longest = 0
    for (const receipt of this.receipts) {
      if (receipt.atMs < fromMs || receipt.atMs > toMs || !counts(receipt)) continue
      longest = Math.max(longest, receipt.atMs - last)
      last = receipt.atMs
    }
    return Math.max(longest, toMs - last)
  }

  private hear(message: FleetMessage): void {
    if (message.type === 'receipts') {
      for (const receipt of message.receipts) {
        this.receipts.push(receipt)
        this.acked += receipt.timesUs.length
      }
    } else if (message.type === 'status') {
      this.statuses.push({ ...message.status, atMs: Date.now() })
    }
  }
}
