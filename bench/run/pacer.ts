// Wakes the generator when a batch is due. Timers of Node are a millisecond late, and turning the event
// loop until then takes a core that the systems need: so a thread sleeps, and turns only for the last
// moment where few batches a second make that cheap.
import { Worker } from 'node:worker_threads'

export interface PacerData {
  /** [0] counts wakes. */
  readonly signal: SharedArrayBuffer
  /** Planned times, µs, on the clock of measure/clock.ts. */
  readonly dueUs: SharedArrayBuffer
  /** Processes on this machine that do the same. */
  readonly publishers: number
}

export class Pacer {
  private readonly worker: Worker
  private readonly wakes: Int32Array
  private seen = 0

  constructor(dueUs: Float64Array, publishers: number) {
    const shared = new SharedArrayBuffer(dueUs.byteLength)
    new Float64Array(shared).set(dueUs)
    const signal = new SharedArrayBuffer(4)
    this.wakes = new Int32Array(signal)
    const workerData: PacerData = { signal, dueUs: shared, publishers }
    this.worker = new Worker(new URL('pacer-thread.ts', import.meta.url), { workerData })
  }

  /** Resolves once something is due that was not at the last wake. */
  async wake(): Promise<void> {
    const waiting = Atomics.waitAsync(this.wakes, 0, this.seen)
    if (waiting.async) await waiting.value
    this.seen = Atomics.load(this.wakes, 0)
  }

  async close(): Promise<void> {
    await this.worker.terminate()
  }
}
