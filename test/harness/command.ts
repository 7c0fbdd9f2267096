// `skein …` as a user runs it: words in, exit code and text out; or a process to wait for, to signal and
// to end. What a test starts is ended with it, and so are the temporary directories it asked for.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { childEnvironment } from './program.ts'

export const SKEIN = join(import.meta.dirname, '..', '..', 'cli', 'skein.ts')

export interface CommandOptions {
  /** Where it is typed. Default: an empty directory. */
  readonly cwd?: string
  /** What is piped in; nothing by default. */
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  /** What runs it, instead of this Node.js. */
  readonly under?: readonly string[]
}

export interface Ended {
  /** null: a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export class Command {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  stdout = ''
  stderr = ''
  private readonly watchers = new Set<() => void>()

  constructor(words: readonly string[], { cwd, input, env, under = [] }: CommandOptions) {
    const [program, ...before] = [...under, process.execPath]
    this.child = spawn(program, [...before, SKEIN, ...words], {
      ...(cwd !== undefined && { cwd }),
      env: { ...childEnvironment(), NO_COLOR: '1', ...env },
    })
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
      this.look()
    })
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
      this.look()
    })
    this.child.stdin!.on('error', () => undefined)
    this.child.stdin!.end(input ?? '')
    this.ended = new Promise((resolve) => {
      this.child.once('close', (code, signal) => {
        const { stdout, stderr } = this
        resolve({ code, signal, stdout, stderr })
        this.look()
      })
    })
  }

  get pid(): number {
    return this.child.pid!
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  /** Resolves when what it has said matches. @throws when it ends without having said it. */
  async says(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(`${this.stdout}\n${this.stderr}`)
      if (found !== null) return found[0]
      if (!this.isRunning) {
        throw new Error(`it ended without saying ${pattern}:\n${this.stdout}\n${this.stderr}`)
      }
      const { promise, resolve } = Promise.withResolvers<void>()
      this.watchers.add(resolve)
      await promise
      this.watchers.delete(resolve)
    }
  }

  /** How it ends after a signal. */
  async end(signal: NodeJS.Signals): Promise<Ended> {
    this.child.kill(signal)
    return await this.ended
  }

  private look(): void {
    for (const watcher of this.watchers) watcher()
  }
}

/** Everything one test file starts and makes; dispose of it in afterAll or afterEach. */
export class Shell implements AsyncDisposable {
  private readonly commands: Command[] = []
  private readonly directories: string[] = []

  directory(): string {
    const directory = mkdtempSync(join(tmpdir(), 'skein-cli-'))
    this.directories.push(directory)
    return directory
  }

  /** Starts a verb. Its data directory is its own unless the words name one. */
  start(words: readonly string[], options: CommandOptions = {}): Command {
    const command = new Command(words, { cwd: options.cwd ?? this.directory(), ...options })
    this.commands.push(command)
    return command
  }

  /** Runs a verb to its end. */
  run(words: readonly string[], options: CommandOptions = {}): Promise<Ended> {
    return this.start(words, options).ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const command of this.commands) {
      if (command.isRunning) command.child.kill('SIGKILL')
      await command.ended
    }
    for (const directory of this.directories) {
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
    }
  }
}

/** The one JSON document of a text, which has nothing else. */
export function onlyJson(text: string): Record<string, unknown> {
  const lines = text.trimEnd().split('\n')
  if (lines.length !== 1) throw new Error(`${lines.length} lines instead of one:\n${text}`)
  return JSON.parse(text) as Record<string, unknown>
}

/** The error that --json put on stderr. */
export function jsonError({ stderr }: Ended): { code: string; message: string } {
  const { error } = onlyJson(stderr) as { error: { code: string; message: string } }
  return error
}

/** Whether a process is there; one that nobody has waited for yet is not. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** The processes that a process has started. */
export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.trim().split(/\s+/).filter(Boolean).map(Number)
}
