// A live subscriber of a test, and what it got: every frame and every run it was told it missed.
import { join } from 'node:path'
import { eventually } from '../../mesh/conformance/eventually.ts'
import { IntervalSet, type LaneKey } from '../../mesh/index.ts'
import { runLive, type LiveOrders } from './live-body.ts'
import { LocalProgram, type LocalBody } from './local-program.ts'
import type { TestMesh } from './mesh.ts'
import { hostSettings } from './network.ts'
import type { Runner } from './program.ts'

export interface LiveRecord {
  readonly lane: LaneKey
  readonly from: number
  readonly to: number
  readonly got: 'live' | 'late' | 'missed'
  /** Samples. */
  readonly count: number
}

export type LiveMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'records'; readonly records: readonly LiveRecord[]; readonly atMs: number }

interface LaneSeen {
  /** Greatest sequence that came in order. */
  last: number
  readonly got: IntervalSet
  readonly missed: IntervalSet
}

export class Live {
  readonly program: Runner
  samples = 0
  missed = 0
  /** Frames that came twice, or before an earlier one without being called late. */
  readonly wrong: string[] = []
  private readonly lanes = new Map<LaneKey, LaneSeen>()

  constructor(mesh: TestMesh, stream: string) {
    const seeds = mesh.stores.map(({ endpoint }) => endpoint)
    const own = hostSettings(mesh.network, mesh.network.host)
    const orders: LiveOrders = { config: mesh.config(seeds, own), stream }
    this.program =
      mesh.network.transport === 'memory'
        ? mesh.runs(new LocalProgram((warn) => this.runHere(orders, warn)))
        : mesh.start({
            name: 'live',
            script: join(import.meta.dirname, 'live-child.ts'),
            args: [JSON.stringify(orders)],
            onMessage: (message) => this.hear(message as LiveMessage),
          })
  }

  /** Resolves when it has got so many more samples. */
  async gotMore(samples: number): Promise<void> {
    const goal = this.samples + samples
    await eventually(() => this.samples >= goal, {
      what: `${samples} more samples arrive live\n${this.program.said}`,
      deadlineMs: 30_000,
      everyMs: 20,
    })
  }

  /** Frames between the first and the last of its lane that it neither got nor was told it missed. */
  silentlyMissing(): string[] {
    const silent: string[] = []
    for (const [lane, { got, missed }] of this.lanes) {
      const known = new IntervalSet(got.toRuns())
      known.addAll(missed)
      if (known.runCount > 1) silent.push(`${lane.slice(-40)}: ${known.toRuns().join()}`)
    }
    return silent
  }

  async stop(): Promise<void> {
    const code = await this.program.stop()
    if (code !== 0) throw new Error(`the subscriber ended with ${code}\n${this.program.said}`)
  }

  private async runHere(orders: LiveOrders, warn: (line: string) => void): Promise<LocalBody> {
    const live = await runLive(orders, (message) => this.hear(message), warn)
    return { ...live, abandon: () => live.stop() }
  }

  private hear(message: LiveMessage): void {
    if (message.type !== 'records') return
    for (const record of message.records) this.note(record)
  }

  private note({ lane, from, to, got, count }: LiveRecord): void {
    let seen = this.lanes.get(lane)
    if (seen === undefined) {
      seen = { last: 0, got: new IntervalSet(), missed: new IntervalSet() }
      this.lanes.set(lane, seen)
    }
    if (got === 'missed') {
      seen.missed.add(from, to)
      this.missed += to - from + 1
      return
    }
    this.samples += count
    if (seen.got.has(from)) this.wrong.push(`${from} came twice`)
    if (got === 'live' && from < seen.last) this.wrong.push(`${from} came after ${seen.last}`)
    if (got === 'live') seen.last = from
    seen.got.add(from)
  }
}
