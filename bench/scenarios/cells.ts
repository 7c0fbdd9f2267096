// From the command line to what is measured: settings of the systems, named alike in every scenario.
import type { Load } from '../load.ts'
import type { Options } from '../options.ts'
import type { Cell } from '../run/run.ts'
import { BENCH_SYSTEMS } from '../systems/index.ts'
import type { BenchSystemName, Setting, Tier, Tuning } from '../systems/system.ts'
import { CONTROL } from '../stats/by-cell.ts'

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

/** For what a sample costs, or with more processes than cores: a load that is a little late is the same load. */
const PATIENT_LAG_P99_US_MAX = 25_000

export const patient = (cells: readonly Cell[]): Cell[] =>
  cells.map((cell) => ({ ...cell, lagP99UsMax: PATIENT_LAG_P99_US_MAX }))

/** What every load of a scenario has unless it says otherwise. */
export function baseLoad(
  { seed, seconds, recording }: Pick<Options, 'seed' | 'seconds' | 'recording'>,
  window: { readonly warmupSeconds: number; readonly seconds: number },
): Load {
  return {
    form: 'native',
    ...(recording && { readings: 'recording' }),
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
