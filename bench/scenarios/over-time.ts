// Plots of runs in which something happens in the middle: what came so far, against the time since then.
import type { Plot } from '../report/report.ts'
import type { Run, Steps } from '../result.ts'
import { counts } from '../stats/figures.ts'

export interface OverTime {
  readonly title: string
  /** Of `Run.steps`. */
  readonly name: string
  /** What the time is counted from. */
  readonly since: string
  /** What is counted. */
  readonly label: string
}

/** The first run of each cell that counts. Sums, because a flat line is nothing and a steep one is much. */
export function overTime(
  cells: ReadonlyMap<string, readonly Run[]>,
  { title, name, since, label }: OverTime,
): Plot {
  return {
    title,
    kind: 'lines',
    x: { label: `since ${since}`, unit: 's' },
    y: { label, unit: 'samples' },
    series: [...cells].flatMap(([cell, runs]) => {
      const steps = runs.find(counts)?.steps?.[name]
      return steps === undefined ? [] : [{ name: cell, points: sums(steps) }]
    }),
  }
}

function sums({ fromSeconds, stepSeconds, counts }: Steps): { x: number; y: number }[] {
  let y = 0
  return counts.map((count, index) => {
    y += count
    // At the end of the step.
    return { x: Number((fromSeconds + (index + 1) * stepSeconds).toFixed(3)), y }
  })
}
