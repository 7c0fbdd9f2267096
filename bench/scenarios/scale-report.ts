// What the runs of `scale` say: the slope of cost against size.
import type { Plot, Report, Section } from '../report/report.ts'
import type { Run } from '../result.ts'
import { byCell } from '../stats/by-cell.ts'
import { slopeOf } from '../stats/slope.ts'
import { counts, FIGURES, median } from '../stats/figures.ts'

/** Ten times as many, and the cost of a sample is within this: flat. */
const FLAT = 0.1

export function scaleReport(question: string, runs: readonly Run[]): Report {
  const stores = (run: Run): number => run.setting.stores ?? run.setting.copies
  const alone = runs.filter((run) => stores(run) === 1)
  const one = alone.filter(({ load }) => load.publishers === 1)
  const fixed = largestGroup(one)
  return {
    title: 'Scale',
    question,
    sections: [
      section('Sources in one publisher', 'sources', one, ({ load }) => load.sources),
      section(
        'Publishing processes',
        'publishers',
        [...fixed, ...alone.filter(({ load }) => load.publishers > 1)],
        ({ load }) => load.publishers,
      ),
      section(
        'Storage peers',
        'storage peers',
        [...fixed.filter(isSkein), ...runs.filter((run) => stores(run) > 1)],
        stores,
      ),
    ],
  }
}

const isSkein = ({ setting }: Run): boolean => setting.system === 'skein'

/** Runs with the number of sources that the other steps have. */
function largestGroup(runs: readonly Run[]): readonly Run[] {
  return runs.filter(({ load }) => load.sources === 1_000)
}

function section(
  title: string,
  what: string,
  runs: readonly Run[],
  size: (run: Run) => number,
): Section {
  const { cells: bySystem } = byCell(runs)
  const slopes = [...bySystem].flatMap(([name, of]) => {
    const points = of.filter(counts).map((run) => [size(run), FIGURES.cpuPerMillion(run)] as const)
    const slope = slopeOf(points)
    return slope === undefined ? [] : [{ name, slope }]
  })
  const said = slopes.map(({ name, slope }) => {
    const percent = Math.round((10 ** slope - 1) * 100)
    const isFlat = Math.abs(10 ** slope - 1) <= FLAT
    return `${name}: ${isFlat ? 'flat, ' : ''}${percent >= 0 ? '+' : '−'}${Math.abs(percent)} % CPU a sample for ten times as many`
  })
  const plot: Plot = {
    title: `CPU of a million samples against ${what}`,
    kind: 'lines',
    x: { label: what, scale: 'log' },
    y: { label: 'CPU', unit: 's / million samples' },
    series: [...bySystem].map(([name, of]) => ({
      name,
      points: [...Map.groupBy(of, size)].flatMap(([x, same]) => {
        const y = median(same, FIGURES.cpuPerMillion)
        return y === undefined ? [] : [{ x, y }]
      }),
    })),
  }
  const sizes = [...new Set(runs.map(size))].sort((a, b) => a - b)
  const table = {
    columns: [
      { name: what },
      ...[...bySystem.keys()].map((name) => ({ name, unit: 's / million' })),
    ],
    rows: sizes.map((wanted) => [
      wanted,
      ...[...bySystem.values()].map((of) =>
        median(
          of.filter((run) => size(run) === wanted),
          FIGURES.cpuPerMillion,
        ),
      ),
    ]),
  }
  return { title, finding: `${said.join('; ')}.`, tables: [table], plots: [plot] }
}
