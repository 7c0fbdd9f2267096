// Runs cells: starts the deployments they need, once each, and repeats all cells block by block, so that
// what changes on the machine in the meantime meets every system alike.
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SeededRandom } from '../../mesh/index.ts'
import type { NativeRun, Run } from '../result.ts'
import { BENCH_SYSTEMS } from '../systems/index.ts'
import type { Deployment, Setting } from '../systems/system.ts'
import { proveTier } from './prove-tier.ts'
import { runCell, type Cell } from './run.ts'

/** Everything is on a disk like the users': a tmpfs would flatter all of them. */
const SCRATCH = '.skein-bench-'

export interface RunnerOptions {
  readonly say: (line: string) => void
  readonly seed: number
  readonly signal: AbortSignal
}

/** Cells that are measured one right after the other, in an order that the seed shuffles. */
export type Group = readonly Cell[]

export class Runner implements AsyncDisposable {
  readonly runs: Run[] = []
  readonly natives: NativeRun[] = []
  readonly versions: Record<string, string> = {}
  readonly configurations: Record<string, unknown> = {}
  readonly notes: string[] = []
  private readonly options: RunnerOptions
  private readonly random: SeededRandom
  private readonly deployments = new Map<string, Deployment>()
  private readonly proofs = new Map<string, string | undefined>()
  private directory: string | undefined
  private channels = 0

  constructor(options: RunnerOptions) {
    this.options = options
    this.random = new SeededRandom(options.seed)
  }

  get signal(): AbortSignal {
    return this.options.signal
  }

  say(line: string): void {
    this.options.say(line)
  }

  /** Every group once in each block. `skip` is asked before each cell. */
  async blocks(
    groups: readonly Group[],
    count: number,
    skip: (cell: Cell) => boolean = () => false,
  ): Promise<void> {
    for (let block = 0; block < count; block++) {
      for (const group of groups) {
        for (const cell of this.shuffled(group)) {
          this.signal.throwIfAborted()
          if (!skip(cell)) await this.run(cell, block)
        }
      }
    }
  }

  /** Measures a cell once and keeps the result. @throws when interrupted. */
  async run(cell: Cell, block: number): Promise<Run> {
    this.signal.throwIfAborted()
    const proof = await this.proof(cell, await this.deployment(cell.setting))
    const run = await this.once(cell, block)
    const judged = proof === undefined ? run : { ...run, voids: [...run.voids, proof] }
    this.runs.push(judged)
    this.say(progressLine(judged))
    return judged
  }

  /** Runs a cell and keeps nothing of it: the compilers of a server that has just started are not done. */
  async rehearse(cell: Cell): Promise<void> {
    this.signal.throwIfAborted()
    this.say(`rehearsing ${cell.name}`)
    await this.once(cell, 0)
  }

  channelName(): string {
    this.channels += 1
    return `bench.run-${this.channels}`
  }

  /** The servers for a setting, started when they are first needed. */
  async deployment(setting: Setting): Promise<Deployment> {
    const system = BENCH_SYSTEMS[setting.system]
    const key = system.deploymentKey(setting)
    let deployment = this.deployments.get(key)
    if (deployment === undefined) {
      this.directory ??= await mkdtemp(join(process.cwd(), SCRATCH))
      this.say(`starting ${key}`)
      deployment = await system.start(setting, join(this.directory, key))
      this.deployments.set(key, deployment)
      Object.assign(this.versions, deployment.versions)
      this.configurations[key] = deployment.configuration
    }
    return deployment
  }

  /** Stops the servers that none of these cells needs: idle ones take from those that are measured. */
  async keepOnly(cells: readonly Cell[]): Promise<void> {
    const keyOf = ({ setting }: Cell): string =>
      BENCH_SYSTEMS[setting.system].deploymentKey(setting)
    const needed = new Set(cells.map(keyOf))
    for (const [key, deployment] of this.deployments) {
      if (needed.has(key)) continue
      this.deployments.delete(key)
      await deployment[Symbol.asyncDispose]()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.deployments.values()].map((each) => each[Symbol.asyncDispose]()))
    if (this.directory !== undefined) await rm(this.directory, { recursive: true, force: true })
  }

  private async once(cell: Cell, block: number): Promise<Run> {
    const deployment = await this.deployment(cell.setting)
    const [channelName, scratch] = [this.channelName(), this.directory!]
    return await runCell({ cell, block, deployment, channelName, scratch })
  }

  /** What is wrong with the tier that a setting claims; tried once for each setting. */
  private async proof(cell: Cell, deployment: Deployment): Promise<string | undefined> {
    if (!cell.system.persists) return undefined
    const { setting } = cell
    // Compression changes nothing of when a receipt comes.
    const { compress: _, ...rest } = setting
    const key = JSON.stringify(rest)
    if (!this.proofs.has(key)) {
      const proof = await proveTier(cell, deployment, this.channelName())
      this.say(`  ${cell.name}: ${proof.finding}`)
      this.notes.push(`${setting.system}, ${setting.tuning}, ${setting.tier}: ${proof.finding}`)
      this.proofs.set(key, proof.isMismatch ? proof.finding : undefined)
    }
    return this.proofs.get(key)
  }

  private shuffled(group: Group): Cell[] {
    const cells = [...group]
    for (let i = cells.length - 1; i > 0; i--) {
      const j = Math.floor(this.random.next() * (i + 1))
      ;[cells[i], cells[j]] = [cells[j]!, cells[i]!]
    }
    return cells
  }
}

function progressLine({
  block,
  cell,
  live,
  receipt,
  receiptsPerSecond,
  deliveredPerSecond,
  voids,
}: Run): string {
  const ms = (us: number | undefined): string => (us === undefined ? '-' : (us / 1000).toFixed(2))
  const rate = Math.round(Math.max(receiptsPerSecond, deliveredPerSecond)).toLocaleString('en')
  const latency =
    live === undefined && receipt === undefined
      ? ''
      : `, live p50 ${ms(live?.p50)} p99 ${ms(live?.p99)} ms, receipt p50 ${ms(receipt?.p50)} p99 ${ms(receipt?.p99)} ms`
  const isVoid = voids.length === 0 ? '' : `  VOID: ${voids.join('; ')}`
  return `  block ${block + 1}  ${cell}: ${rate} samples/s${latency}${isVoid}`
}
