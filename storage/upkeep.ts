// What a store does for its disk from time to time: removes what retention takes.
import type { Clock, Timer } from '../mesh/index.ts'
import {
  DEFAULT_CLASS,
  expiredBuckets,
  type BucketFacts,
  type RetentionClass,
} from './retention.ts'

/** As much of a LevelStore as is needed. */
export interface KeptStore {
  bucketFacts(): Promise<readonly BucketFacts[]>
  trim(className: string, startMs: number): Promise<boolean>
  forgetLanes(beforeUs: number): Promise<number>
}

export interface UpkeepOptions {
  readonly store: KeptStore
  readonly clock: Clock
  readonly bucketMs: number
  /** Each class's limits; that of `default` holds for buckets of classes that are not here any more. */
  readonly classes: readonly RetentionClass[]
  /** Some frames are gone. */
  readonly onTrimmed: () => Promise<void>
  readonly onError: (error: unknown) => void
}

export interface UpkeepCounters {
  trimmedBuckets: number
  trimmedBytes: number
}

const ROUND_MS = 10_000
/** A lane of which nothing is held is remembered for so long after its last frame, so that no store
 * that was away brings back what was removed. */
export const LANE_MEMORY_US = 7 * 86_400_000_000

export class Upkeep {
  readonly counters: UpkeepCounters = { trimmedBuckets: 0, trimmedBytes: 0 }
  private readonly options: UpkeepOptions
  private timer: Timer | undefined
  private round: Promise<void> = Promise.resolve()
  private isStopped = false

  constructor(options: UpkeepOptions) {
    this.options = options
  }

  start(): void {
    this.round = this.runRound()
  }

  async stop(): Promise<void> {
    this.isStopped = true
    this.timer?.cancel()
    await this.round
  }

  private async runRound(): Promise<void> {
    const { clock, onError } = this.options
    try {
      await this.retain()
    } catch (error) {
      if (!this.isStopped) onError(error)
    }
    if (!this.isStopped) this.timer = clock.startTimer(ROUND_MS, () => this.start())
  }

  private async retain(): Promise<void> {
    const { store, clock, onTrimmed } = this.options
    let isTrimmed = false
    for (const { className, startMs, bytes } of await this.expired()) {
      if (this.isStopped || !(await store.trim(className, startMs))) continue
      isTrimmed = true
      this.counters.trimmedBuckets += 1
      this.counters.trimmedBytes += bytes
    }
    if (isTrimmed) await onTrimmed()
    await store.forgetLanes(clock.nowUs() - LANE_MEMORY_US)
  }

  private async expired(): Promise<BucketFacts[]> {
    const { store, clock, bucketMs, classes } = this.options
    const limits = new Map(classes.map((each) => [each.name, each]))
    const nowMs = clock.nowUs() / 1000
    const byClass = Map.groupBy(await store.bucketFacts(), ({ className }) => className)
    return [...byClass].flatMap(([className, buckets]) => {
      const limit = limits.get(className) ?? limits.get(DEFAULT_CLASS)!
      return expiredBuckets(buckets, limit, bucketMs, nowMs)
    })
  }
}
