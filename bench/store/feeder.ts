// A feed, as the bench that started it sees it.
import { fork, type ChildProcess } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { BenchError } from '../errors.ts'
import type { FeedAssignment, FeedProgress, FromFeed, ToFeed } from './feed-messages.ts'

const LOOK_MS = 20
/** A feed that gets no acks so long gets none any more. */
const STALLED_MS = 20_000
const CLOSE_MS = 10_000

export const FEED_NAME = 'publisher-1'

export class Feeder implements AsyncDisposable {
  private readonly child: ChildProcess
  private readonly failed = Promise.withResolvers<never>()
  private readonly ended: Promise<void>
  private readonly waiting: ((message: FromFeed) => void)[] = []

  /** Resolves when it has its frames and the way to the stores stands. */
  static async open(assignment: FeedAssignment): Promise<Feeder> {
    const feeder = new Feeder(assignment.channel.setting.system)
    try {
      await feeder.ask({ type: 'open', assignment })
      return feeder
    } catch (error) {
      await feeder[Symbol.asyncDispose]()
      throw error
    }
  }

  private constructor(system: string) {
    this.child = fork(join(import.meta.dirname, 'feed-process.ts'), [], {
      env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'skein-bench-code') },
      execArgv: process.env['BENCH_PROFILE'] === 'feed' ? ['--cpu-prof'] : [],
    })
    this.failed.promise.catch(() => {})
    const fail = (why: string): void =>
      this.failed.reject(new BenchError('BENCH_SYSTEM_FAILED', `the feed of ${system} ${why}`))
    this.child.on('message', (raw) => {
      const message = raw as FromFeed
      if (message.type === 'failed') fail(`failed: ${message.message}`)
      else this.waiting.shift()?.(message)
    })
    this.ended = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => {
        fail(`ended (${signal ?? `code ${code}`})`)
        resolve()
      })
    })
  }

  get pid(): number {
    return this.child.pid!
  }

  go(): void {
    this.send({ type: 'go' })
  }

  async progress(): Promise<FeedProgress> {
    const answer = await this.ask({ type: 'ask' })
    if (answer.type !== 'progress') throw new Error(`a feed answered ${answer.type}`)
    return answer.progress
  }

  /**
   * The progress with which `isReached` holds. @throws BenchError BENCH_SYSTEM_FAILED when nothing more is
   * acknowledged before that.
   */
  async until(isReached: (progress: FeedProgress) => boolean): Promise<FeedProgress> {
    let frames = 0
    let sinceMs = performance.now()
    for (;;) {
      const progress = await this.progress()
      if (isReached(progress)) return progress
      if (progress.ackedFrames > frames) {
        frames = progress.ackedFrames
        sinceMs = performance.now()
      } else if (performance.now() - sinceMs > STALLED_MS) {
        throw new BenchError(
          'BENCH_SYSTEM_FAILED',
          `no frame was acknowledged for ${STALLED_MS / 1000} s, after ${frames}`,
        )
      }
      await delay(LOOK_MS)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.send({ type: 'close' })
    const timer = setTimeout(() => this.child.kill('SIGKILL'), CLOSE_MS)
    await this.ended
    clearTimeout(timer)
  }

  private send(message: ToFeed): void {
    if (this.child.connected) this.child.send(message, () => undefined)
  }

  private ask(message: ToFeed): Promise<FromFeed> {
    const answer = new Promise<FromFeed>((resolve) => this.waiting.push(resolve))
    this.send(message)
    return Promise.race([answer, this.failed.promise])
  }
}
