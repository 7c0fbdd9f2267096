// What a store does for its disk from time to time: removes what retention takes, and compacts buckets
// that nothing comes to any more.
import type { Clock, Timer } from '../mesh/index.ts'
import {
  DEFAULT_CLASS,
  expiredBuckets,
  restingBucket,
  type BucketFacts,
  type RetentionClass,
} from './retention.ts'

/** As much of a LevelStore as is needed. */
export interface KeptStore {
  bucketFacts(): Promise<readonly BucketFacts[]>
  trim(className: string, startMs: number): Promise<boolean>
  compact(className: string, startMs: number): Promise<boolean>
  forgetLanes(beforeUs: number): Promise<number>
}

export interface UpkeepOptions {
  readonly store: KeptStore
  readonly clock: Clock
  readonly bucketMs: number
  /** Each class's limits; that of `default` holds for buckets of classes that are not here any more. */
  readonly classes: readonly RetentionClass[]
  readonly compacts: boolean
  /** Some frames are gone. */
  readonly onTrimmed: () => Promise<void>
  readonly onError: (error: unknown) => void
}

export interface UpkeepCounters {
  trimmedBuckets: number
  trimmedBytes: number
  compactedBuckets: number
  /** Of the files before and after. */
  compactedFromBytes: number
  compactedToBytes: number
}

const ROUND_MS = 10_000
/** What failed once, for want of space most likely, is tried again after so long. */
const COMPACTION_RETRY_MS = 300_000
/**
 * A lane of which nothing is held is remembered for so long after its last frame and after it was
 * removed, so that no store that was away, or keeps more, brings back what was removed.
 */
export const LANE_MEMORY_US = 7 * 86_400_000_000

export class Upkeep {
  readonly counters: UpkeepCounters = {
    trimmedBuckets: 0,
    trimmedBytes: 0,
    compactedBuckets: 0,
    compactedFromBytes: 0,
    compactedToBytes: 0,
  }
  private readonly options: UpkeepOptions
  private timer: Timer | undefined
  private round: Promise<void> = Promise.resolve()
  private isStopped = false
  private compactsFromMs = 0

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
    let pauseMs = ROUND_MS
    try {
      await this.retain()
      // One at a time, so that retention never waits for many.
      if (await this.compactOldest()) pauseMs = 0
    } catch (error) {
      if (!this.isStopped) onError(error)
    }
    if (!this.isStopped) this.timer = clock.startTimer(pauseMs, () => this.start())
  }

  private async retain(): Promise<void> {
    const { store, clock, onTrimmed } = this.options
    let isTrimmed = false
    for (const { className, startMs, bytes } of await this.expired()) {
      if (this.isStopped || !(await this.trim(className, startMs))) continue
      isTrimmed = true
      this.counters.trimmedBuckets += 1
      this.counters.trimmedBytes += bytes
    }
    if (isTrimmed) await onTrimmed()
    await store.forgetLanes(clock.nowUs() - LANE_MEMORY_US)
  }

  /** One that cannot be removed does not keep the others. */
  private async trim(className: string, startMs: number): Promise<boolean> {
    try {
      return await this.options.store.trim(className, startMs)
    } catch (error) {
      if (!this.isStopped) this.options.onError(error)
      return false
    }
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
  /** False when there was none. */
  private async compactOldest(): Promise<boolean> {
    const { store, clock, bucketMs, compacts } = this.options
    if (!compacts || this.isStopped || clock.monotonicMs() < this.compactsFromMs) return false
    const nowMs = clock.nowUs() / 1000
    const bucket = restingBucket(await store.bucketFacts(), bucketMs, nowMs)
    if (bucket === undefined) return false
    const { className, startMs, bytes } = bucket
    try {
      if (!(await store.compact(className, startMs))) return false
    } catch (error) {
      this.compactsFromMs = clock.monotonicMs() + COMPACTION_RETRY_MS
      throw error
    }
    const after = (await store.bucketFacts()).find((each) => {
      return each.className === className && each.startMs === startMs
    })
    this.counters.compactedBuckets += 1
    this.counters.compactedFromBytes += bytes
    this.counters.compactedToBytes += after?.bytes ?? 0
    return true
  }
}
