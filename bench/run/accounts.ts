// What all processes of a system cost while a window is open.
import { FsyncCounter } from '../measure/fsyncs.ts'
import { processCost, stealTicks, type ProcessCost } from '../measure/processes.ts'
import type { Cost } from '../result.ts'
import type { ServerProcess } from '../systems/system.ts'

export class Accounts {
  private readonly servers: readonly ServerProcess[]
  private readonly processes: readonly ServerProcess[]
  private readonly fsyncs: FsyncCounter | undefined
  private readonly before: ReadonlyMap<number, ProcessCost | undefined>
  private readonly steal = stealTicks()
  private readonly startMs = performance.now()

  static async open(
    servers: readonly ServerProcess[],
    clients: readonly ServerProcess[],
  ): Promise<Accounts> {
    return new Accounts(servers, clients, await FsyncCounter.start(servers.map(({ pid }) => pid)))
  }

  private constructor(
    servers: readonly ServerProcess[],
    clients: readonly ServerProcess[],
    fsyncs: FsyncCounter | undefined,
  ) {
    this.servers = servers
    this.processes = [...servers, ...clients]
    this.fsyncs = fsyncs
    this.before = new Map(this.processes.map(({ pid }) => [pid, processCost(pid)]))
  }

  async close(sentBytes: number, sentMessages: number): Promise<Cost> {
    const seconds = (performance.now() - this.startMs) / 1000
    const after = new Map(this.processes.map(({ pid }) => [pid, processCost(pid)]))
    const steal = stealTicks()
    const fsyncs = await this.fsyncs?.stop()
    const used = ({ pid }: ServerProcess, of: (cost: ProcessCost) => number): number => {
      const [from, to] = [this.before.get(pid), after.get(pid)]
      return from && to ? of(to) - of(from) : 0
    }
    const named = (value: (process: ServerProcess) => number): Record<string, number> =>
      Object.fromEntries(this.processes.map((process) => [process.name, value(process)]))
    return {
      seconds,
      cpuSeconds: named((process) => used(process, ({ cpuSeconds }) => cpuSeconds)),
      memoryBytes: named(({ pid }) => after.get(pid)?.memoryBytes ?? 0),
      writtenBytes: this.servers.reduce(
        (sum, process) => sum + used(process, ({ writtenBytes }) => writtenBytes),
        0,
      ),
      ...(fsyncs !== undefined && { fsyncs }),
      sentBytes,
      sentMessages,
      stealShare: (steal.steal - this.steal.steal) / Math.max(1, steal.all - this.steal.all),
    }
  }
}
