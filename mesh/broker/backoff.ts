// Waiting between attempts that go on for ever: longer each time, up to a bound, and never in step
// with the other processes that lost the same server.
import type { Clock, Random, Timer } from '../clock.ts'

export interface BackoffOptions {
  readonly clock: Clock
  readonly random: Random
  readonly firstMs: number
  readonly mostMs: number
}

export class Backoff {
  private readonly options: BackoffOptions
  private nextMs: number
  private timer: Timer | undefined
  private wake: (() => void) | undefined
  private isStopped = false

  constructor(options: BackoffOptions) {
    this.options = options
    this.nextMs = options.firstMs
  }

  /** Resolves after the next delay, at least `leastMs`; at once when stopped. One wait at a time. */
  wait(leastMs = 0): Promise<void> {
    if (this.isStopped) return Promise.resolve()
    const { clock, random, mostMs } = this.options
    const delayMs = Math.max(leastMs, this.nextMs) * (0.75 + random.next() / 2)
    this.nextMs = Math.min(mostMs, this.nextMs * 2)
    return new Promise((resolve) => {
      this.wake = resolve
      this.timer = clock.startTimer(delayMs, resolve)
    })
  }

  /** It works again: the next trouble starts with a short wait. */
  reset(): void {
    this.nextMs = this.options.firstMs
  }

  /** Ends the wait that is on, and all later ones. */
  stop(): void {
    this.isStopped = true
    this.timer?.cancel()
    this.wake?.()
  }
}
