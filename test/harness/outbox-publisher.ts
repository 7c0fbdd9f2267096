// The test's side of outbox-child.ts: what it is to do, and what it left.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../nodes/index.ts'
import type { CrashPoint } from './crash-point.ts'
import type { TestMesh } from './mesh.ts'
import type { Program } from './program.ts'

export interface OutboxOrders {
  readonly config: Config
  /** Of the outbox log. */
  readonly directory: string
  /** File of the numbers that were accepted. */
  readonly accepted: string
  readonly stream: string
  readonly sources: readonly string[]
  readonly seed: number
  /** Samples carry the numbers from, from + 1, … */
  readonly from: number
  readonly count: number
  /** Where it kills itself. */
  readonly crash?: CrashPoint
}

export const OUTBOX_STREAM = 'outbox.crash'

/** One outbox on disk and the lives of its publisher. */
export class OutboxPublisher {
  readonly name: string
  readonly directory: string
  readonly said = new Set<string>()
  readonly sources: readonly string[]
  program: Program | undefined
  private readonly mesh: TestMesh
  private readonly file: string
  private readonly seed: number

  constructor(mesh: TestMesh, name: string, sources: readonly string[], seed: number) {
    this.mesh = mesh
    this.name = name
    this.sources = sources
    this.seed = seed
    this.directory = join(mesh.root, 'outbox', name)
    this.file = join(mesh.directory('accepted'), name)
  }

  start(life: { from: number; count: number; crash?: CrashPoint }): Program {
    const orders: OutboxOrders = {
      ...life,
      directory: this.directory,
      accepted: this.file,
      stream: OUTBOX_STREAM,
      sources: this.sources,
      seed: this.seed,
      config: this.mesh.config(this.seeds()),
    }
    this.said.clear()
    this.program = this.mesh.start({
      name: this.name,
      script: join(import.meta.dirname, 'outbox-child.ts'),
      args: [JSON.stringify(orders)],
      onMessage: ({ type }) => this.said.add(type),
    })
    return this.program
  }

  /** Numbers of all samples that publish() has accepted, over all lives. */
  accepted(): number[] {
    if (!existsSync(this.file)) return []
    return readFileSync(this.file, 'utf8').trimEnd().split('\n').filter(Boolean).map(Number)
  }

  private seeds(): string[] {
    return this.mesh.stores.map(({ endpoint }) => endpoint)
  }
}
