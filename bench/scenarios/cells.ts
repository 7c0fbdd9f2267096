// From the command line to what is measured: settings of the systems, named alike in every scenario.
import type { Load } from '../load.ts'
import type { Options } from '../options.ts'
import type { Run } from '../result.ts'
import type { Cell } from '../run/run.ts'
import { BENCH_SYSTEMS } from '../systems/index.ts'
import {
  BENCH_SYSTEM_NAMES,
  TUNINGS,
  type BenchSystemName,
  type Setting,
  type Tier,
  type Tuning,
} from '../systems/system.ts'

/** The first cell measured beside itself: the difference is the noise of this machine. */
export const CONTROL = 'skein again'

export interface SettingOptions {
  readonly systems: readonly BenchSystemName[]
  readonly tier: Tier
  readonly tunings: readonly Tuning[]
  readonly compress: boolean
  /** Of Skein; the first tuning has them all, the others the first. */
  readonly copies?: readonly number[]
}

/** Skein first. Systems that do not keep the tier are left out; those that keep nothing have one setting. */
export function settingsOf(options: SettingOptions): Setting[] {
  const { systems, tier, tunings, compress, copies = [1] } = options
  return systems.flatMap((system): Setting[] => {
    const { persists, tiers } = BENCH_SYSTEMS[system]
    if (!persists) return [{ system, tier: 'received', tuning: 'default', compress, copies: 1 }]
    if (!tiers.includes(tier)) return []
    return tunings.flatMap((tuning, i) => {
      const several = system === 'skein' ? (i === 0 ? copies : copies.slice(0, 1)) : [1]
      return several.map((count) => ({ system, tier, tuning, compress, copies: count }))
    })
  })
}

/** `kafka latency`, `skein latency, 2 copies`, `nats-core`. */
export function settingName({ system, tuning, copies }: Setting): string {
  const how = BENCH_SYSTEMS[system].persists ? ` ${tuning}` : ''
  return `${system}${how}${copies > 1 ? `, ${copies} copies` : ''}`
}

export function cellOf(setting: Setting, load: Load, name = settingName(setting)): Cell {
  return { name, setting, load, system: BENCH_SYSTEMS[setting.system] }
}

/** One cell a setting, and the first once more where there are blocks enough to tell noise from. */
export function withControl(settings: readonly Setting[], load: Load, blocks: number): Cell[] {
  const cells = settings.map((setting) => cellOf(setting, load))
  return blocks < 2 ? cells : [...cells, { ...cells[0]!, name: CONTROL }]
}

/** Runs of the control apart from those of all cells, by name: Skein's first, as they are compared. */
export function byCell(runs: readonly Run[]): {
  readonly cells: ReadonlyMap<string, readonly Run[]>
  readonly controls: readonly Run[]
} {
  const cells = Map.groupBy(runs.toSorted(inOrder), ({ cell }) => cell)
  const controls = cells.get(CONTROL) ?? []
  cells.delete(CONTROL)
  return { cells, controls }
}

/** By system, copies and tuning, the tuned before the default; within, as they ran. */
function inOrder({ setting: a }: Run, { setting: b }: Run): number {
  const place = ({ system }: Setting): number => BENCH_SYSTEM_NAMES.indexOf(system)
  const tuning = ({ tuning: name }: Setting): number => -TUNINGS.indexOf(name)
  return place(a) - place(b) || a.copies - b.copies || tuning(a) - tuning(b)
}

/** What every load of a scenario has unless it says otherwise. */
export function baseLoad(
  { seed, seconds }: Pick<Options, 'seed' | 'seconds'>,
  window: { readonly warmupSeconds: number; readonly seconds: number },
): Load {
  return {
    form: 'native',
    samplesPerFrame: 1,
    sources: 100,
    publishers: 1,
    subscribers: 0,
    schedule: 'poisson',
    warmupSeconds: Math.min(window.warmupSeconds, seconds ?? window.seconds),
    seconds: seconds ?? window.seconds,
    seed,
  }
}
