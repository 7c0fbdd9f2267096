// The thread of pacer.ts.
import { workerData } from 'node:worker_threads'
import { nowUs } from '../measure/clock.ts'
import { pace } from './pace.ts'
import type { PacerData } from './pacer.ts'

const { signal, dueUs, publishers } = workerData as PacerData
const wakes = new Int32Array(signal)
const never = new Int32Array(new SharedArrayBuffer(4))

pace({
  dueUs: new Float64Array(dueUs),
  publishers,
  nowUs,
  sleep: (us) => void Atomics.wait(never, 0, 0, us / 1000),
  wake() {
    Atomics.add(wakes, 0, 1)
    Atomics.notify(wakes, 0)
  },
})
