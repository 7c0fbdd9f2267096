// Which runs repeat each other. Scenarios give a cell's name to several loads (rates, sources, …); what a
// reader needs to tell them apart is added to the name, and no more.
import type { Run } from '../result.ts'

/** What two runs of a cell may differ in, in the order it is named. Seeds and lengths do not matter. */
const PARTS: readonly ((run: Run) => string)[] = [
  ({ setting }) => setting.tier,
  ({ setting }) => setting.tuning,
  ({ setting }) => `${setting.copies} copies`,
  ({ setting }) => `${setting.stores ?? setting.copies} stores`,
  ({ setting }) => (setting.compress ? 'compressed' : 'not compressed'),
  ({ setting }) => JSON.stringify(setting.extra ?? {}),
  ({ load }) => load.form,
  ({ load }) => load.readings ?? 'fleet',
  ({ load }) => `${count(load.samplesPerFrame)} a frame`,
  ({ load }) => `${count(load.sources)} sources`,
  ({ load }) => `${load.publishers} → ${load.subscribers}`,
  ({ load }) => load.schedule,
]

const RATE = ({ load }: Run): string =>
  load.rate === undefined ? 'flat out' : `${count(load.rate)} samples/s`

/** Names each of `runs` by its cell, setting and load, whatever the rate. */
export function settingNames(runs: readonly Run[]): (run: Run) => string {
  return names(runs, PARTS)
}

/** Names each of `runs` by its cell, setting and load: those of one name are repetitions. */
export function conditionNames(runs: readonly Run[]): (run: Run) => string {
  return names(runs, [...PARTS, RATE])
}

function names(runs: readonly Run[], parts: typeof PARTS): (run: Run) => string {
  const told = new Map(
    [...Map.groupBy(runs, ({ cell }) => cell)].map(([cell, of]) => [
      cell,
      parts.filter((part) => new Set(of.map(part)).size > 1),
    ]),
  )
  return (run) => [run.cell, ...told.get(run.cell)!.map((part) => part(run))].join(', ')
}

function count(value: number): string {
  return value.toLocaleString('en')
}
