// The thread of pacer.ts.
import { workerData } from 'node:worker_threads'
import { nowUs } from '../measure/clock.ts'
import type { PacerData } from './pacer.ts'

/** A sleep ends this much late, as a rule: asked for less, it ends in time. */
const LATE_US = 90
/** Turning for the last moment: 150 µs of each gap this long are less than a tenth of a core, of all publishers. */
const SPIN_US = 60
const SPIN_GAP_US = 900
/** Batches that are closer together than this share a wake. */
const TOGETHER_US = 200

const { signal, dueUs, publishers } = workerData as PacerData
const wakes = new Int32Array(signal)
const due = new Float64Array(dueUs)
const never = new Int32Array(new SharedArrayBuffer(4))
const meanGapUs = (due.at(-1)! - due[0]!) / due.length
const spinUs = meanGapUs > SPIN_GAP_US * publishers ? SPIN_US : 0

let wokenUs = 0
for (const at of due) {
  if (at <= wokenUs) continue
  const wakeUs = Math.max(at, wokenUs + TOGETHER_US)
  const sleepUs = wakeUs - nowUs() - LATE_US - spinUs
  if (sleepUs > 0) Atomics.wait(never, 0, 0, sleepUs / 1000)
  if (spinUs > 0) while (nowUs() < wakeUs);
  wokenUs = nowUs()
  Atomics.add(wakes, 0, 1)
  Atomics.notify(wakes, 0)
}
