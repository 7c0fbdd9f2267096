// One system as a process. By default it ends with the process that started it, however that ends: a shell
// of a few hundred kilobytes waits at a pipe from us, and when the pipe closes without a word it kills the
// system and removes its temporary data. That works for SIGKILL too, where no handler of ours runs.
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { SystemError } from './errors.ts'
import type { Program } from './system.ts'

/** $1 is the system's process, $2 the data to remove, if any. The kill takes a moment to be carried out. */
const GUARD = `
read -r word
[ "$word" = done ] && exit
kill -9 "$1"
[ -n "$2" ] || exit
for round in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$1" 2>/dev/null || break; sleep 0.2; done
rm -rf -- "$2"
`

export interface ProgramOptions {
  readonly logPath: string
  readonly cwd: string
  /** It goes on when we end, and nobody guards it. */
  readonly isDetached: boolean
  /** Removed when we are killed. */
  readonly temporaryPath: string | undefined
}

export class RunningProgram {
  readonly pid: number
  /** How it ended: an exit code, or the name of a signal. */
  readonly ended: Promise<string>
  hasEnded = false
  private readonly child: ChildProcess

  private constructor(child: ChildProcess, pid: number, guard: ChildProcess | undefined) {
    this.child = child
    this.pid = pid
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.hasEnded = true
        guard?.stdin?.end('done\n')
        resolve(signal ?? `exit code ${code}`)
      })
    })
  }

  static async start(
    { command, words, env }: Program,
    { logPath, cwd, isDetached, temporaryPath }: ProgramOptions,
  ): Promise<RunningProgram> {
    const log = openSync(logPath, 'a')
    // In a process group of its own, so that Ctrl-C in a terminal reaches us and not it: we end it when
    // whoever writes to it has ended.
    const child = spawn(command, words, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', log, log],
      detached: true,
    })
    closeSync(log)
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', (cause) => {
        reject(new SystemError('SYSTEM_START_FAILED', `${command}: ${cause.message}`, { cause }))
      })
    })
    const pid = child.pid!
    const guard = isDetached ? undefined : startGuard(pid, temporaryPath)
    return new RunningProgram(child, pid, guard)
  }

  /** Sends SIGTERM, and SIGKILL after the limit. Resolves once the process is gone. */
  async stop(limitMs: number): Promise<void> {
    this.child.ref()
    this.signal('SIGTERM')
    // One that a test has halted could not act on it.
    this.signal('SIGCONT')
    const timer = setTimeout(() => this.signal('SIGKILL'), limitMs)
    await this.ended
    clearTimeout(timer)
  }

  async kill(): Promise<void> {
    this.child.ref()
    this.signal('SIGKILL')
    await this.ended
  }

  /** It no longer keeps our process from ending. */
  unref(): void {
    this.child.unref()
  }

  private signal(signal: NodeJS.Signals): void {
    if (!this.hasEnded) this.child.kill(signal)
  }
}

function startGuard(pid: number, temporaryPath: string | undefined): ChildProcess {
  const guard = spawn('sh', ['-c', GUARD, 'guard', String(pid), temporaryPath ?? ''], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guard.once('error', () => undefined)
  guard.stdin.once('error', () => undefined)
  guard.unref()
  // A pipe of a child is a socket, whatever its type says.
  if (guard.stdin instanceof Socket) guard.stdin.unref()
  return guard
}
