// Runs of the experiments, made up for tests of what is said of them.
import type { Load } from '../../load.ts'
import { distribution } from '../../measure/distribution.ts'
import type { Run } from '../../result.ts'
import { madeRun } from '../testing.ts'
import type { BusSystem, Setting } from './experiment.ts'

export interface Made extends Partial<Pick<Run, 'cell' | 'block' | 'voids' | 'isSustained'>> {
  readonly system?: BusSystem
  readonly setting?: Partial<Setting>
  readonly load?: Partial<Load>
  readonly lost?: number
  /** Default 1,000 samples/s. */
  readonly perSecond?: number
  /** Live and receipt alike, where there is a rate; default 500 µs. */
  readonly latencyUs?: number
  /** Of one second, by process. */
  readonly cpuSeconds?: Readonly<Record<string, number>>
}

/** Flat out and without subscribers, as far as it is not told otherwise. */
export function busRun(made: Made = {}): Run {
  const { system = 'skein', setting, load, lost = 0, perSecond = 1_000, ...more } = made
  const { latencyUs = 500, cpuSeconds = { 'storage-1': 0.5, 'publisher-1': 0.5 }, ...own } = more
  const { rate: _, ...flat } = madeRun({ load: { form: 'json', subscribers: 0 } }).load
  const run = madeRun({ cell: `made: ${system}`, ...own })
  const loaded = { ...flat, ...load }
  const latency = loaded.rate === undefined ? undefined : distribution([latencyUs])
  return {
    ...run,
    setting: { ...run.setting, system, tuning: 'default', ...setting },
    load: loaded,
    counts: { ...run.counts, lost },
    publishedPerSecond: perSecond,
    receiptsPerSecond: perSecond,
    ...(latency && { receipt: latency, ...(loaded.subscribers > 0 && { live: latency }) }),
    cost: { ...run.cost, seconds: 1, cpuSeconds, fsyncs: 100, sentBytes: 60 * perSecond },
  }
}
