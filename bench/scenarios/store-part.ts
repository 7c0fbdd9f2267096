// What the parts of the scenario `store` have in common: where they work, what they leave behind, and the
// goals that their figures are held against.
import type { Load } from '../load.ts'
import type { Options, StorePartName } from '../options.ts'
import type { Section } from '../report/report.ts'
import type { Cost, Run } from '../result.ts'
import type { Runner } from '../run/runner.ts'
import { counts, median, type Figure } from '../stats/figures.ts'
import type { BenchSystemName, Setting } from '../systems/system.ts'

export interface StoreBench {
  readonly options: Options
  readonly runner: Runner
  /** Skein and the brokers that can run here and sync what they acknowledge. */
  readonly systems: readonly BenchSystemName[]
  /** An empty folder of this invocation, on the disk that is measured. */
  readonly directory: string
  readonly blocks: number
}

export interface StorePart {
  /** Begins the names of its cells. */
  readonly name: StorePartName
  /** All of its blocks. */
  measure(bench: StoreBench): Promise<void>
  /** `runs` are its own, at least one. */
  section(runs: readonly Run[]): Section
  goals(runs: readonly Run[]): readonly Goal[]
}

export interface Goal {
  readonly what: string
  readonly bound: 'least' | 'most'
  readonly goal: number
  readonly unit: string
  /** Undefined: not measured. */
  readonly measured: number | undefined
  /** The interval, where there is one. */
  readonly spread?: string
}

export function isMet({ bound, goal, measured }: Goal): boolean | undefined {
  if (measured === undefined || Number.isNaN(measured)) return undefined
  return bound === 'least' ? measured >= goal : measured <= goal
}

/** A figure that a part keeps under its own name. */
export const extra =
  (name: string): Figure =>
  (run) =>
    run.extra?.[name]

/** Least and greatest of the runs that count: `180–210`; empty for fewer than two. */
export function spreadText(runs: readonly Run[], figure: Figure, digits = 3): string {
  const values = runs.filter(counts).flatMap((run) => figure(run) ?? [])
  if (values.length < 2) return ''
  const text = (value: number): string => Number(value.toPrecision(digits)).toLocaleString('en')
  return `${text(Math.min(...values))}–${text(Math.max(...values))}`
}

/** The goal of a figure: the median over blocks, with what it lies between. */
export function goalOf(
  { what, bound, goal, unit }: Pick<Goal, 'what' | 'bound' | 'goal' | 'unit'>,
  runs: readonly Run[],
  figure: Figure,
): Goal {
  const measured = median(runs, figure)
  return { what, bound, goal, unit, measured, spread: spreadText(runs, figure) }
}

export const SYNCED: Omit<Setting, 'system'> = {
  tier: 'synced',
  tuning: 'default',
  compress: false,
  copies: 1,
}

/** Of all processes together, while nothing was accounted for. */
export const NO_COST: Cost = {
  seconds: 0,
  cpuSeconds: {},
  memoryBytes: {},
  writtenBytes: 0,
  sentBytes: 0,
  sentMessages: 0,
  stealShare: 0,
}

export interface StoreRun extends Pick<Run, 'cell' | 'block' | 'extra'> {
  readonly setting: Setting
  readonly load: Pick<Load, 'sources' | 'samplesPerFrame'> & Partial<Load>
  readonly seed: number
  readonly voids?: readonly string[]
  readonly samplesPerSecond?: number
  readonly cost?: Cost
  readonly isSustained?: boolean
}

/** A run in the shape that results have; what only this scenario measures is in `extra`. */
export function storeRun(part: StoreRun): Run {
  const { cell, block, setting, load, seed, samplesPerSecond = 0, cost = NO_COST } = part
  const samples = Math.round(samplesPerSecond * cost.seconds)
  return {
    cell,
    block,
    setting,
    load: {
      form: 'frame',
      publishers: 1,
      subscribers: 0,
      schedule: 'fixed',
      warmupSeconds: 0,
      seconds: cost.seconds,
      seed,
      ...load,
    },
    voids: part.voids ?? [],
    isSustained: part.isSustained ?? true,
    counts: { published: samples, receipts: samples, delivered: 0, duplicates: 0, lost: 0 },
    publishedPerSecond: samplesPerSecond,
    receiptsPerSecond: samplesPerSecond,
    deliveredPerSecond: 0,
    cost,
    ...(part.extra && { extra: part.extra }),
  }
}

/** `8.4 ms`: a progress line. */
export function shown(value: number, unit: string): string {
  return `${Number(value.toPrecision(3)).toLocaleString('en')} ${unit}`
}
