// Runs by cell, in the order in which every report has the systems.
import type { Run } from '../result.ts'
import { BENCH_SYSTEM_NAMES, TUNINGS, type Setting } from '../systems/system.ts'

/** The first cell measured beside itself: the difference is the noise of this machine. */
export const CONTROL = 'skein again'

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
