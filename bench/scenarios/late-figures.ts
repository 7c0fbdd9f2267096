// What a late joiner got: how soon it had the first sample, and all that was published before it came.
import type { Run } from '../result.ts'
import type { Observed } from '../run/incident.ts'
import { fates, steps } from './fates.ts'

/** Names in `Run.extra`. A time that never came is not there. */
export type LateFigures = {
  /** Samples that were due before it opened. */
  readonly history: number
  /** Of those, without their receipt then: the system was behind. */
  readonly waiting: number
  /** From its opening on. */
  readonly firstMs?: number
  readonly lastMs?: number
  readonly historyPerSecond?: number
  /** The longest that a sample took which was due when it had opened: nothing is live before. */
  readonly seamMs: number
  readonly readerCpuSeconds: number
}

/** The last subscriber is the one that joined. */
export function lateFigures(observed: Observed): Pick<Run, 'extra' | 'steps'> {
  const { openedUs, cpuSeconds, arrivalUs = new Float64Array() } = observed.arrived.at(-1)!
  let [history, waiting, firstUs, lastUs, seamUs] = [0, 0, Infinity, openedUs, 0]
  for (const { number, dueUs, receiptUs } of fates(observed)) {
    const atUs = arrivalUs[number]!
    if (dueUs < openedUs) {
      history += 1
      if (receiptUs === 0 || receiptUs > openedUs) waiting += 1
    }
    if (atUs === 0) continue
    firstUs = Math.min(firstUs, atUs)
    if (dueUs < openedUs) lastUs = Math.max(lastUs, atUs)
    else seamUs = Math.max(seamUs, atUs - dueUs)
  }
  const extra: LateFigures = {
    history,
    waiting,
    ...(lastUs > openedUs && {
      firstMs: (firstUs - openedUs) / 1000,
      lastMs: (lastUs - openedUs) / 1000,
      historyPerSecond: (1e6 * history) / (lastUs - openedUs),
    }),
    seamMs: seamUs / 1000,
    readerCpuSeconds: cpuSeconds,
  }
  const came = arrivalUs.filter((atUs) => atUs > 0)
  return { extra, steps: { read: steps(came, openedUs, openedUs) } }
}
