// One node that `skein up` runs: started, listened to, started again when it dies, stopped in order.
import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { NodeState, UpNode } from '../format/up-view.ts'
import type { ChildMessage } from './child-messages.ts'

const RESTART_MS = 1_000
/** After this a node that does not end is killed. */
const KILL_MS = 12_000

export interface ChildOptions {
  readonly name: string
  readonly role: 'storage' | 'aggregator' | 'fleet'
  /** Everything after `skein`. */
  readonly args: () => readonly string[]
  readonly onMessage: (message: ChildMessage) => void
  readonly onLog: (line: string) => void
}

/** A node that could not start: the message it left. */
export class StartError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

export class Child {
  readonly name: string
  readonly role: ChildOptions['role']
  state: NodeState = 'starting'
  endpoint: string | undefined
  http: string | undefined
  memoryBytes = 0
  exitCode: number | null = null
  private readonly options: ChildOptions
  private process: ChildProcess | undefined
  private exited: Promise<void> = Promise.resolve()
  private stopping = false

  constructor(options: ChildOptions) {
    this.options = options
    this.name = options.name
    this.role = options.role
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
      for (const line of text.split('\n'))
        if (line !== '') this.options.onLog(`${this.name}: ${line}`)
    })
    this.exited = new Promise((resolve) => {
      child.once('exit', (code) => {
        this.exitCode = code
        const wasReady = this.state === 'ready'
        this.state = 'stopped'
        ready.reject(failure)
        if (wasReady && !this.stopping) this.restart()
        resolve()
      })
    })
    await ready.promise
  }

  /** Asks the node to drain and end; resolves when it has. */
  async stop(): Promise<void> {
    this.stopping = true
    if (this.process === undefined || this.state === 'stopped') return
    this.state = 'stopping'
    if (this.process.connected) this.process.send({ type: 'stop' })
    const kill = setTimeout(() => this.process?.kill('SIGKILL'), KILL_MS)
    await this.exited
    clearTimeout(kill)
  }

  view(): UpNode {
    const { name, role, state, memoryBytes, endpoint } = this
    return {
      ...{ name, role, state },
      ...(this.process?.pid !== undefined && { pid: this.process.pid }),
      ...(memoryBytes > 0 && { memoryBytes }),
      ...(endpoint !== undefined && { endpoint }),
    }
  }

  private restart(): void {
    this.state = 'restarting'
    this.options.onLog(`${this.name} ended with code ${this.exitCode ?? 'none'}; starting it again`)
    setTimeout(() => {
      if (this.stopping) return
      this.start().catch((error: Error) => {
        this.options.onLog(error.message)
        if (!this.stopping) this.restart()
      })
    }, RESTART_MS)
  }
}
