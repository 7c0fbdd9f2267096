// When the thread of pacer.ts sleeps, turns and wakes.

/** A sleep ends this much late, as a rule: asked for less, it ends in time. */
const LATE_US = 90
/** Turning for the last moment: 150 µs of each gap this long are less than a tenth of a core, of all publishers. */
const SPIN_US = 60
const SPIN_GAP_US = 900
/** Batches that are closer together than this share a wake. */
const TOGETHER_US = 200
/** Far more than a sleep ends too early, and than the clocks of two threads are apart. */
const AT_LAST_US = 1000

export interface Pace {
  /** Planned times, µs. */
  readonly dueUs: Float64Array
  readonly publishers: number
  readonly nowUs: () => number
  readonly sleep: (us: number) => void
  readonly wake: () => void
}

export function pace({ dueUs, publishers, nowUs, sleep, wake }: Pace): void {
  const lastUs = dueUs.at(-1)!
  const meanGapUs = (lastUs - dueUs[0]!) / dueUs.length
  const spinUs = meanGapUs > SPIN_GAP_US * publishers ? SPIN_US : 0
  let wokenUs = 0
  for (const at of dueUs) {
    if (at <= wokenUs) continue
    const wakeUs = Math.max(at, wokenUs + TOGETHER_US)
    const sleepUs = wakeUs - nowUs() - LATE_US - spinUs
    if (sleepUs > 0) sleep(sleepUs)
    if (spinUs > 0) while (nowUs() < wakeUs);
    wokenUs = nowUs()
    wake()
  }
  // Woken a moment early, the generator waits for the next wake: there has to be one after the last batch.
  sleep(Math.max(0, lastUs + AT_LAST_US - nowUs()))
  wake()
}
