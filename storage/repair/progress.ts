// How far a refill is and how fast it goes, for people and for metrics. A refill begins when a look
// finds frames to pull, and is over with the look that finds none.
import type { Clock } from '../../mesh/index.ts'
import type { IntakeCounters } from './intake.ts'

export interface RefillProgress {
  /** Pulled since it began, and still to pull. */
  readonly pulledFrames: number
  readonly framesLeft: number
  /** Over the last seconds. */
  readonly framesPerSecond: number
  readonly bytesPerSecond: number
  /** Absent while nothing comes. */
  readonly secondsLeft?: number
}

/** Totals at a moment. */
interface Mark {
  readonly atMs: number
  readonly frames: number
  readonly bytes: number
}

/** What a rate is taken over, and how far apart its marks are. */
const WINDOW_MS = 5_000
const MARK_MS = 250

export class Refill {
  private readonly clock: Clock
  private readonly counters: Pick<IntakeCounters, 'pulledFrames' | 'pulledBytes'>
  /** When it began; when the last look found what is to be pulled; and what was found. */
  private begin: Mark
  private lastLook: Mark
  private found = 0
  private marks: Mark[]

  constructor(clock: Clock, counters: Refill['counters']) {
    this.clock = clock
    this.counters = counters
    this.begin = this.lastLook = this.now()
    this.marks = [this.begin]
  }

  /** A look found so many frames to pull. */
  look(frames: number): void {
    this.lastLook = this.now()
    if (this.found === 0) {
      this.begin = this.lastLook
      this.marks = [this.begin]
    }
    this.found = frames
  }

  /** Call it now and then while frames come. */
  mark(): void {
    const now = this.now()
    if (now.atMs - this.marks.at(-1)!.atMs < MARK_MS) return
    this.marks.push(now)
    while (now.atMs - this.marks[1]!.atMs >= WINDOW_MS) this.marks.shift()
  }

  /** Undefined while there is nothing to pull. */
  progress(): RefillProgress | undefined {
    const now = this.now()
    const framesLeft = this.found - (now.frames - this.lastLook.frames)
    if (framesLeft <= 0) return undefined
    const isOld = ({ atMs }: Mark): boolean => now.atMs - atMs >= WINDOW_MS
    const since = this.marks.findLast(isOld) ?? this.marks[0]!
    const seconds = Math.max(MARK_MS, now.atMs - since.atMs) / 1000
    const pulledFrames = now.frames - this.begin.frames
    const framesPerSecond = (now.frames - since.frames) / seconds
    return {
      pulledFrames,
      framesLeft,
      framesPerSecond,
      bytesPerSecond: (now.bytes - since.bytes) / seconds,
      ...(framesPerSecond > 0 && { secondsLeft: framesLeft / framesPerSecond }),
    }
  }

  private now(): Mark {
    const { pulledFrames, pulledBytes } = this.counters
    return { atMs: this.clock.monotonicMs(), frames: pulledFrames, bytes: pulledBytes }
  }
}
