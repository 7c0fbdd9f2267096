// One node that `skein up` runs: started, listened to, started again when it dies, stopped in order.
import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { NodeState, UpNode } from '../format/up-view.ts'
import type { ChildMessage, StopMessage } from './child-messages.ts'

const RESTART_MS = 1_000
const RESTART_MS_MAX = 30_000
/** What a node may need to end beyond the time it was given to drain. */
export const END_MS = 1_000

export type ChildRole = 'storage' | 'aggregator' | 'fleet'

export interface ChildOptions {
  readonly name: string
  readonly role: ChildRole
  /** Everything after `skein`. */
  readonly args: () => readonly string[]
  readonly onMessage: (message: ChildMessage) => void
  readonly onLog: (line: string) => void
}

/** A node that could not start: the code and the message it left. */
export class StartError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

export class Child {
  readonly name: string
  readonly role: ChildRole
  state: NodeState = 'starting'
  endpoint: string | undefined
  http: string | undefined
  private readonly options: ChildOptions
  private process: ChildProcess | undefined
  private exited: Promise<void> = Promise.resolve()
  private stopping = false
  private restartMs = RESTART_MS

  constructor(options: ChildOptions) {
    this.options = options
    this.name = options.name
    this.role = options.role
  }

  get pid(): number | undefined {
    return this.state === 'stopped' ? undefined : this.process?.pid
  }

  /** Resolves when the node is ready. @throws StartError when it ends before that. */
  async start(): Promise<void> {
    const ready = Promise.withResolvers<void>()
    const program = join(import.meta.dirname, '..', 'skein.ts')
    // A process group of its own: Ctrl-C is for `skein up`, which stops its nodes in order.
    const child = fork(program, this.options.args(), {
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.process = child
    let failure = new StartError('NODE_START_FAILED', `${this.name} ended before it was ready`)
    child.on('message', (raw) => {
      const message = raw as ChildMessage
      if (message.type === 'failed') {
        failure = new StartError(message.code, `${this.name}: ${message.message}`)
      } else if (message.type === 'ready') {
        this.endpoint = message.endpoint
        this.http = message.http
        this.state = 'ready'
        ready.resolve()
      }
      this.options.onMessage(message)
    })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n')) {
        if (line !== '') this.options.onLog(`${this.name}: ${line}`)
      }
    })
    this.exited = new Promise((resolve) => {
      // Its last words may still be on their way when it is gone.
      const heard = new Promise<void>((done) => child.once('disconnect', done))
      const ended = async (code: number | null, signal: string | null): Promise<void> => {
        if (child.connected) await heard
        const wasReady = this.state === 'ready'
        this.state = 'stopped'
        ready.reject(failure)
        if (wasReady && !this.stopping) {
          this.restart(code === null ? `by ${signal}` : `with ${code}`)
        }
        resolve()
      }
      child.once('exit', (code, signal) => void ended(code, signal))
    })
    await ready.promise
  }

  /** Asks the node to drain and end; resolves when it has. One that does not end in time is killed. */
  async stop(drainMs: number): Promise<void> {
    this.stopping = true
    if (this.process === undefined || this.state === 'stopped') return
    this.state = 'stopping'
    const message: StopMessage = { type: 'stop', drainMs }
    // One that was killed may be gone before that is known here; then there is nobody to tell.
    if (this.process.connected) this.process.send(message, () => undefined)
    const kill = setTimeout(() => {
      this.options.onLog(
        `${this.name} did not end in ${(drainMs + END_MS) / 1000} s and was killed`,
      )
      this.kill()
    }, drainMs + END_MS)
    await this.exited
    clearTimeout(kill)
  }

  /** At once: for a second Ctrl-C, and for what does not end by itself. */
  kill(): void {
    this.stopping = true
    if (this.state !== 'stopped') this.process?.kill('SIGKILL')
  }

  view(): UpNode {
    const { name, role, state, pid, http, endpoint } = this
    return {
      name,
      role,
      state,
      ...(pid !== undefined && { pid }),
      ...(http !== undefined && { address: http }),
      ...(http === undefined && endpoint !== undefined && { address: endpoint }),
    }
  }

  private restarted(): void {
    this.restartMs = RESTART_MS
    this.options.onLog(`${this.name} is ready again`)
  }

  private restart(how: string): void {
    this.state = 'restarting'
    const inSeconds = this.restartMs / 1000
    this.options.onLog(`${this.name} was ended ${how}; starting it again in ${inSeconds} s`)
    setTimeout(() => {
      if (this.stopping) return
      this.start().then(
        () => this.restarted(),
        (error: Error) => {
          this.restartMs = Math.min(this.restartMs * 2, RESTART_MS_MAX)
          if (!this.stopping) this.restart(`before it was ready (${error.message})`)
        },
      )
    }, this.restartMs)
  }
}
