// What every scenario's page begins with: each setting's latencies at one rate, the most it sustained, and
// what that cost, from the runs that count.
import type { Run } from '../result.ts'
import { counts, FIGURES, goalRate, median, together } from '../stats/figures.ts'
import { byCell } from '../stats/by-cell.ts'
import { settingNames } from './conditions.ts'
import type { Cell, Column, Table } from './report.ts'

/** More are no key figures; the tables of the sections have them. */
const SETTINGS_MAX = 12

export interface KeyFigures {
  readonly table: Table
  /** Of the latencies, samples/s; undefined when there are none. */
  readonly rate: number | undefined
}

/**
 * Undefined when no run counts, when there are too many settings, or when runs are not alike. Columns that
 * nobody has are left out.
 */
export function keyFigures(runs: readonly Run[]): KeyFigures | undefined {
  if (!areAlike(runs)) return undefined
  const rate = goalRate(runs.filter(counts))
  const counted = [...byCell(runs).cells.values()].flat().filter(counts)
  const settings = [...Map.groupBy(counted, settingNames(counted))]
  if (settings.length === 0 || settings.length > SETTINGS_MAX) return undefined
  const rows = settings.map(([name, of]): Cell[] => [name, ...figuresOf(of, rate)])
  const used = COLUMNS.map((_, index) => index).filter((index) =>
    rows.some((row) => row[index] !== undefined),
  )
  const table = {
    columns: used.map((index) => COLUMNS[index]!),
    rows: rows.map((row) => used.map((index) => row[index])),
  }
  return { table, rate }
}

/** As many publishers and subscribers in each, and none in which something happens in the middle. */
function areAlike(runs: readonly Run[]): boolean {
  const shapes = new Set(runs.map(({ load }) => `${load.publishers} ${load.subscribers}`))
  return shapes.size <= 1 && runs.every(({ steps }) => steps === undefined)
}

const COLUMNS: readonly Column[] = [
  { name: '' },
  { name: 'live p50', unit: 'ms' },
  { name: 'live p99', unit: 'ms' },
  { name: 'receipt p50', unit: 'ms' },
  { name: 'receipt p99', unit: 'ms' },
  { name: 'most sustained', unit: 'samples/s' },
  { name: 'CPU there', unit: 's/million' },
]

/** In the order of the columns. */
function figuresOf(runs: readonly Run[], rate: number | undefined): Cell[] {
  const there = runs.filter(({ load }) => load.rate === rate)
  const [live, receipt] = (['live', 'receipt'] as const).map((which) => together(there, which))
  const most = mostSustained(runs)
  const ms = (us: number | undefined): number | undefined => us && us / 1000
  return [
    ms(live?.p50),
    ms(live?.p99),
    ms(receipt?.p50),
    ms(receipt?.p99),
    ...(most === undefined
      ? [undefined, undefined]
      : [median(most, taken), median(most, FIGURES.cpuPerMillion)]),
  ]
}

/** What a system took, where it gives receipts; what was published, where it gives none. */
function taken({ receiptsPerSecond, publishedPerSecond }: Run): number {
  return receiptsPerSecond > 0 ? receiptsPerSecond : publishedPerSecond
}

/** The runs at the step where it took most, if it kept up there in each of them. */
function mostSustained(runs: readonly Run[]): readonly Run[] | undefined {
  const steps = [...Map.groupBy(runs, ({ load }) => JSON.stringify(load)).values()]
  return steps
    .filter((step) => step.every(({ isSustained }) => isSustained))
    .sort((a, b) => median(b, taken)! - median(a, taken)!)[0]
}
