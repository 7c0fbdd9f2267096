// What became of each sample of a run, from all that its clients noted.
import type { Steps } from '../result.ts'
import type { Observed } from '../run/incident.ts'
import { batchNumber } from '../run/messages.ts'

/** Times in µs; 0 for what never came. */
export interface Fate {
  /** Its place in the times of a subscriber. */
  readonly number: number
  readonly dueUs: number
  readonly receiptUs: number
}

export function* fates({ load, published }: Pick<Observed, 'load' | 'published'>): Generator<Fate> {
  for (const [process, { dueUs, receiptUs }] of published.entries()) {
    for (const [own, due] of dueUs!.entries()) {
      const first = batchNumber(own, process, load) * load.samplesPerFrame
      for (let number = first; number < first + load.samplesPerFrame; number++) {
        yield { number, dueUs: due, receiptUs: receiptUs![number]! }
      }
    }
  }
}

const STEP_US = 100_000

/** Counted in steps of 100 ms from `fromUs` to the last of them; seconds are told from `zeroUs`. */
export function steps(timesUs: Iterable<number>, fromUs: number, zeroUs: number): Steps {
  const counts: number[] = []
  for (const atUs of timesUs) {
    const step = Math.floor((atUs - fromUs) / STEP_US)
    if (step < 0) continue
    while (counts.length <= step) counts.push(0)
    counts[step]! += 1
  }
  return { fromSeconds: (fromUs - zeroUs) / 1e6, stepSeconds: STEP_US / 1e6, counts }
}
