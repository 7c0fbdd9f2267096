// Runs and what clients noted, made up for the tests of scenarios.
import type { Load } from '../load.ts'
import type { Run } from '../result.ts'
import type { Observed } from '../run/incident.ts'
import type { Arrived } from '../run/messages.ts'

const LOAD: Load = {
  form: 'native',
  samplesPerFrame: 1,
  sources: 1,
  publishers: 1,
  subscribers: 1,
  rate: 1_000,
  schedule: 'fixed',
  warmupSeconds: 1,
  seconds: 4,
  seed: 1,
}

export function madeLoad(changes: Partial<Load> = {}): Load {
  return { ...LOAD, ...changes }
}

export function madeRun({
  load,
  ...changes
}: Partial<Omit<Run, 'load'>> & { load?: Partial<Load> }): Run {
  return {
    cell: 'skein latency',
    block: 0,
    setting: { system: 'skein', tier: 'synced', tuning: 'latency', compress: false, copies: 1 },
    load: madeLoad(load),
    voids: [],
    isSustained: true,
    counts: { published: 5_000, receipts: 5_000, delivered: 5_000, duplicates: 0, lost: 0 },
    publishedPerSecond: 1_000,
    receiptsPerSecond: 1_000,
    deliveredPerSecond: 1_000,
    cost: {
      seconds: 4,
      cpuSeconds: { 'storage-1': 1, 'publisher-1': 2, 'subscriber-1': 3 },
      memoryBytes: {},
      writtenBytes: 0,
      sentBytes: 0,
      sentMessages: 0,
      stealShare: 0,
    },
    ...changes,
  }
}

/** Of a subscriber: when each sample came, ms; 0 for never. */
export function arrivedAt(timesMs: readonly number[], changes: Partial<Arrived> = {}): Arrived {
  return {
    openedUs: 0,
    cpuSeconds: 0.5,
    count: timesMs.filter((ms) => ms > 0).length,
    duplicates: 0,
    arrivalUs: Float64Array.from(timesMs, (ms) => ms * 1000),
    ...changes,
  }
}

/** One publisher, a sample a frame; ms, 0 for never. */
export function observedWith(
  samples: readonly { readonly dueMs: number; readonly receiptMs: number }[],
  arrived: readonly Arrived[],
  readBack?: Arrived,
): Observed {
  const receipts = samples.filter(({ receiptMs }) => receiptMs > 0).length
  const dueUs = Float64Array.from(samples, ({ dueMs }) => dueMs * 1000)
  const receiptUs = Float64Array.from(samples, ({ receiptMs }) => receiptMs * 1000)
  return {
    load: madeLoad(),
    published: [{ published: samples.length, receipts, duplicates: 0, lost: 0, dueUs, receiptUs }],
    arrived,
    readBack,
  }
}
