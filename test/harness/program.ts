// One process that a test runs: our `skein node …` or a child script of the harness. It is started,
// listened to, killed (kill -9), stopped and continued (SIGSTOP, SIGCONT), and always ended: the end of
// a test that fails is the same as of one that passes, see mesh.ts.
import { fork, type ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../../mesh/conformance/eventually.ts'

/** What every child says once it is up; children may say more. */
export interface ReadyMessage {
  readonly type: 'ready'
  readonly endpoint?: string
  readonly http?: string
}

interface OtherMessage {
  readonly type: string
}

export interface ProgramOptions {
  /** For messages of failures. */
  readonly name: string
  /** Absolute path of the script. */
  readonly script: string
  readonly args: readonly string[]
  /** Of Node.js itself. */
  readonly nodeFlags?: readonly string[]
  readonly cwd: string
  /** What it runs under: words before the program, such as those that enter a network namespace. */
  readonly under?: readonly string[]
  /** Beside those of this process. */
  readonly env?: Readonly<Record<string, string>>
  readonly onMessage?: (message: OtherMessage) => void
}

/** Compiled modules are kept from process to process: a child starts in 0.2 s instead of 0.5 s. */
const COMPILE_CACHE = join(import.meta.dirname, '../../node_modules/.cache/skein-tests')

/** Lines of stderr kept to explain a failure. */
const LINES_KEPT = 40

/** Something that a test runs: a process, or on the memory transport a part of the test's own. */
export interface Runner {
  readonly ready: Promise<ReadyMessage>
  readonly isRunning: boolean
  /** The last of what it wrote to stderr or warned of. */
  readonly said: string
  /** The most memory it had, bytes; absent where it has none of its own. */
  readonly rssMaxBytes: number | undefined
  send(message: object): void
  /** kill -9, or as near to it as can be come. */
  kill(): Promise<void>
  pause(): Promise<void>
  resume(): void
  /** Asks it to end; resolves with its exit code. */
  stop(): Promise<number | null>
  /** Ends it, whatever state it is in. */
  end(): Promise<void>
}

export class Program implements Runner {
  readonly name: string
  readonly ready: Promise<ReadyMessage>
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  private readonly child: ChildProcess
  private readonly lines: string[] = []

  constructor(options: ProgramOptions) {
    const { name, script, args, nodeFlags = [], cwd, under = [], env = {}, onMessage } = options
    this.name = name
    const [execPath, ...words] = [...under, process.execPath]
    this.child = fork(script, args, {
      cwd,
      env: { ...childEnvironment(), ...env },
      execPath,
      execArgv: [...words, ...nodeFlags],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    const ready = Promise.withResolvers<ReadyMessage>()
    const exited = Promise.withResolvers<Awaited<Program['exited']>>()
    this.ready = ready.promise
    this.exited = exited.promise
    this.ready.catch(() => undefined)
    this.child.on('message', (raw) => {
      const message = raw as OtherMessage
      if (message.type === 'ready') ready.resolve(message as ReadyMessage)
      if (message.type === 'failed' || message.type === 'warning') this.log(JSON.stringify(message))
      onMessage?.(message)
    })
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => this.log(text))
    const disconnected = new Promise<void>((resolve) => this.child.once('disconnect', resolve))
    this.child.once('exit', (code, signal) => {
      // What it said last may be read after its end is known.
      void disconnected.then(() => exited.resolve({ code, signal }))
      ready.reject(new Error(`${name} ended (${code ?? signal}) before it was ready\n${this.said}`))
    })
  }

  get pid(): number {
    return this.child.pid!
  }

  /** The last of what it wrote to stderr or warned of. */
  get said(): string {
    return this.lines.join('\n')
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  get rssMaxBytes(): number | undefined {
    if (!this.isRunning || !existsSync('/proc/self/status')) return undefined
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8')
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
  }

  send(message: object): void {
    this.child.send(message)
  }

  /** kill -9: resolves when the process is gone. @throws when that is not what ended it. */
  async kill(): Promise<void> {
    if (!this.isRunning) throw new Error(`${this.name} is not running: there is nothing to kill`)
    this.child.kill('SIGKILL')
    const { code, signal } = await this.exited
    if (signal !== 'SIGKILL') {
      throw new Error(`${this.name} was to be killed and ended by itself (${code ?? signal})`)
    }
  }

  /** SIGSTOP: resolves when the system, if it has /proc, says that it is stopped. */
  async pause(): Promise<void> {
    this.child.kill('SIGSTOP')
    if (!existsSync('/proc/self/stat')) return
    await eventually(() => processState(this.pid) === 'T', { what: `${this.name} is stopped` })
  }

  resume(): void {
    this.child.kill('SIGCONT')
  }

  /** Asks it to end; resolves with its exit code. */
  async stop(): Promise<number | null> {
    if (this.child.connected) this.child.send({ type: 'stop' })
    const { code } = await this.exited
    return code
  }

  /** Ends it, whatever state it is in. */
  async end(): Promise<void> {
    // SIGKILL ends a stopped process too.
    if (this.isRunning) this.child.kill('SIGKILL')
    await this.exited
  }

  private log(text: string): void {
    this.lines.push(...text.split('\n').filter((line) => line !== ''))
    this.lines.splice(0, this.lines.length - LINES_KEPT)
  }
}

/** Ours without what vitest and a developer's shell put in: a child must not read their settings. */
export function childEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(SKEIN_|VITEST|NODE_OPTIONS$|NODE_ENV$)/.test(name),
  )
  return { ...Object.fromEntries(kept), NODE_COMPILE_CACHE: COMPILE_CACHE }
}

/** R, S, T, …, as ps shows it. */
function processState(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name before it is in brackets and may hold anything.
  return /\) (\S)/.exec(stat.slice(stat.lastIndexOf(')')))?.[1]
}
