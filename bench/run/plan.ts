// When each batch of a run is due: planned before it begins, whatever the system then does (open loop).
import { SeededRandom } from '../../mesh/index.ts'
import type { Schedule } from '../load.ts'

export interface PlanOptions {
  readonly schedule: Schedule
  /** Batches/s. */
  readonly rate: number
  readonly seconds: number
  readonly seed: number
}

/** µs after the start, ascending. poisson: as of many sources that know nothing of each other. */
export function plannedUs({ schedule, rate, seconds, seed }: PlanOptions): Float64Array {
  const gapUs = 1e6 / rate
  const endUs = seconds * 1e6
  if (schedule === 'fixed') {
    return Float64Array.from({ length: Math.floor(rate * seconds) }, (_, i) => i * gapUs)
  }
  const random = new SeededRandom(seed)
  const times: number[] = []
  for (let atUs = 0; ;) {
    atUs += -Math.log(1 - random.next()) * gapUs
    if (atUs >= endUs) return Float64Array.from(times)
    times.push(atUs)
  }
}
