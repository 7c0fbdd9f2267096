// What an experiment of the buses is: cells to measure, and what their runs say.
import type { Load } from '../../load.ts'
import type { Section } from '../../report/report.ts'
import type { Run } from '../../result.ts'
import type { Cell } from '../../run/run.ts'
import type { Group } from '../../run/runner.ts'
import { cellOf } from '../cells.ts'
import type { FloorOf } from './telling.ts'

export type Setting = Cell['setting']

export interface Experiment {
  /** Begins the names of its cells. */
  readonly name: string
  /** Measured one after the other, each interleaved. */
  groups(bench: Bench): readonly Group[]
  section(runs: readonly Run[], floorOf: FloorOf): Section
}

/** Both are measured in each experiment. */
export const BUS_SYSTEMS = ['skein', 'kafka'] as const satisfies readonly Setting['system'][]
export type BusSystem = (typeof BUS_SYSTEMS)[number]

export interface Bench {
  readonly blocks: number
  /** That can run here. */
  readonly systems: readonly BusSystem[]
  /** One copy, one server. */
  readonly setting: Omit<Setting, 'system'>
  /** As fast as receipts come, without subscribers. */
  readonly load: Load
  /** Whether to measure flat out too. */
  readonly isFlatOut: boolean
  /** Samples/s that leave every system air, to look at latencies. */
  readonly rate: number
  /** Samples/s to beyond what a system takes, ascending. */
  readonly rates: readonly number[]
  /** Of processes, ascending from one. */
  readonly processes: readonly number[]
}

/** Of one experiment, system and variant; with several rates it is a curve. */
export function busCell(
  { name }: Pick<Experiment, 'name'>,
  variant: string,
  setting: Setting,
  load: Load,
): Cell {
  return cellOf(setting, load, `${name}: ${setting.system}, ${variant}`)
}

/** Flat out, and at the rate for latencies with a live subscriber; some flat out only. */
export function flatAndPaced(
  cells: readonly Cell[],
  { isFlatOut, rate }: Bench,
  flatOnly: readonly Cell[] = [],
): Group[] {
  const paced = cells.map((cell) => ({ ...cell, load: { ...cell.load, rate, subscribers: 1 } }))
  return isFlatOut ? [[...cells, ...flatOnly], paced] : [paced]
}

export function runsOf({ name }: Pick<Experiment, 'name'>, runs: readonly Run[]): readonly Run[] {
  return runs.filter(({ cell }) => cell.startsWith(`${name}: `))
}
