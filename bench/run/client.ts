// A client process, as the bench that started it sees it.
import { fork, type ChildProcess } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BenchError } from '../errors.ts'
import type { Assignment, FromClient, ToClient } from './messages.ts'

/** A client that is asked to end has this long. */
const CLOSE_MS = 10_000

type Kind = 'publisher' | 'subscriber'
type Answer<Type extends FromClient['type']> = Extract<FromClient, { type: Type }>

export class Client implements AsyncDisposable {
  readonly name: string
  private readonly child: ChildProcess
  private readonly heard: FromClient[] = []
  private readonly waiting: { type: string; resolve: (message: FromClient) => void }[] = []
  private readonly failed = Promise.withResolvers<never>()
  private readonly ended: Promise<void>

  /** Resolves when it has opened its part of the system. */
  static async start(kind: Kind, assignment: Assignment): Promise<Client> {
    const client = new Client(kind, assignment)
    client.send({ type: 'open', assignment })
    try {
      await client.next('ready')
    } catch (error) {
      await client[Symbol.asyncDispose]()
      throw error
    }
    return client
  }

  private constructor(kind: Kind, { process, channel }: Assignment) {
    this.name = `${kind}-${process + 1}`
    const profile = globalThis.process.env['BENCH_PROFILE']
    this.child = fork(join(import.meta.dirname, `${kind}-process.ts`), [], {
      serialization: 'advanced',
      // Two in each run, and what they load is always the same.
      env: { ...globalThis.process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'skein-bench-code') },
      execArgv: profile === kind ? ['--cpu-prof'] : [],
    })
    this.failed.promise.catch(() => {})
    this.child.on('message', (message) => this.hear(message as FromClient))
    this.ended = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => {
        const how = signal ?? `code ${code}`
        this.failed.reject(
          new BenchError(
            'BENCH_SYSTEM_FAILED',
            `${channel.setting.system} ${this.name} ended (${how})`,
          ),
        )
        resolve()
      })
    })
  }

  get pid(): number {
    return this.child.pid!
  }

  send(message: ToClient): void {
    // That it has ended, next() tells.
    if (this.child.connected) this.child.send(message, () => undefined)
  }

  /** The next message of that type. @throws BenchError BENCH_SYSTEM_FAILED when the process fails instead. */
  next<Type extends FromClient['type']>(type: Type): Promise<Answer<Type>> {
    const index = this.heard.findIndex((message) => message.type === type)
    if (index >= 0) return Promise.resolve(this.heard.splice(index, 1)[0] as Answer<Type>)
    const answer = new Promise<FromClient>((resolve) => this.waiting.push({ type, resolve }))
    return Promise.race([answer as Promise<Answer<Type>>, this.failed.promise])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.send({ type: 'close' })
    const timer = setTimeout(() => this.child.kill('SIGKILL'), CLOSE_MS)
    await this.ended
    clearTimeout(timer)
  }

  private hear(message: FromClient): void {
    if (message.type === 'failed') {
      this.failed.reject(new BenchError('BENCH_SYSTEM_FAILED', `${this.name}: ${message.message}`))
      return
    }
    const index = this.waiting.findIndex(({ type }) => type === message.type)
    if (index < 0) this.heard.push(message)
    else this.waiting.splice(index, 1)[0]!.resolve(message)
  }
}
