// When a frame of a recording leaves, by recorded time alone: at the recorded time of its last row,
// counted from the start of the recording. Time never goes backwards: a disordered row leaves with
// the latest row before it, as it did when it was recorded.
import type { CutFrame } from './cut.ts'

/** Gives the frames of one replay, in the order they leave, their times. */
export class Pace {
  readonly #startUs: number
  #latestUs = 0

  /** `startUs`: the recorded time that counts as the start, for which nothing waits. */
  constructor(startUs: number) {
    this.#startUs = startUs
  }

  /** Recorded microseconds from the start to this frame, never less than those of the one before. */
  offsetUs(frame: Pick<CutFrame, 'completedUs'>): number {
    this.#latestUs = Math.max(this.#latestUs, frame.completedUs - this.#startUs)
    return this.#latestUs
  }
}

/**
 * Milliseconds after the start of the replay at which a frame is due, `speed` times as fast as it was
 * recorded. @throws RangeError when the speed is not above 0.
 */
export function dueMs(offsetUs: number, speed: number): number {
  if (!(speed > 0)) throw new RangeError(`speed ${speed} is not above 0`)
  return offsetUs / 1000 / speed
}
