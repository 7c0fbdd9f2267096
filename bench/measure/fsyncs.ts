// How often processes ask for their data to be on the disk, counted by the kernel at the entry of the
// system calls: from outside, at no cost to speak of, and whatever language they are written in.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

const CALLS = ['fsync', 'fdatasync', 'sync_file_range', 'msync', 'syncfs'] as const
const EVENTS = CALLS.map((call) => `syscalls:sys_enter_${call}`).join(',')
/** perf says nothing when it has begun; its counters are open well within this. */
const BEGIN_MS = 150

export const FSYNCS_HINT =
  'fsyncs are not counted: that needs Linux, perf (Debian package linux-perf) and root, or ' +
  'kernel.perf_event_paranoid = -1 with /sys/kernel/tracing readable'

export class FsyncCounter {
  private readonly perf: ChildProcess
  private output = ''

  private constructor(perf: ChildProcess) {
    this.perf = perf
    perf.stderr!.setEncoding('utf8').on('data', (text: string) => (this.output += text))
  }

  /** Undefined when the kernel or this machine's rights do not allow it. */
  static async start(pids: readonly number[]): Promise<FsyncCounter | undefined> {
    if (pids.length === 0) return undefined
    const perf = spawn('perf', ['stat', '-x', ',', '-e', EVENTS, '-p', pids.join(',')], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // Ctrl-C is for the bench.
      detached: true,
    })
    const counter = new FsyncCounter(perf)
    const gone = new Promise<true>((resolve) => {
      perf.once('exit', () => resolve(true))
      perf.once('error', () => resolve(true))
    })
    return (await Promise.race([gone, delay(BEGIN_MS, false)])) ? undefined : counter
  }

  /** Calls since the start. */
  async stop(): Promise<number> {
    if (this.perf.exitCode === null && this.perf.signalCode === null) {
      this.perf.kill('SIGINT')
      await once(this.perf, 'close')
    }
    // count,unit,event,… a line.
    return this.output
      .split('\n')
      .filter((line) => line.includes('syscalls:'))
      .reduce((sum, line) => sum + (Number.parseInt(line, 10) || 0), 0)
  }
}
