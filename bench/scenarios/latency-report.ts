// What the runs of `latency` say: a table at each rate, ratios with their intervals, curves.
import { percentiles } from '../measure/distribution.ts'
import type { Cell, Point, Plot, Report, Section, Table } from '../report/report.ts'
import type { Run } from '../result.ts'
import { byCell } from '../stats/by-cell.ts'
import {
  compare,
  FIGURES,
  floorOf,
  floorText,
  goalRate,
  median,
  ratioText,
  together,
  voidText,
  type Figure,
} from '../stats/figures.ts'

const PERCENTILES = [0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99]

export function latencyReport(question: string, runs: readonly Run[]): Report {
  const { cells, controls } = byCell(runs)
  const rate = goalRate(runs) ?? 0
  const at = (of: readonly Run[], wanted: number): Run[] =>
    of.filter(({ load }) => load.rate === wanted)
  return {
    title: 'Latency',
    question,
    sections: [
      ratios(cells, controls, rate, at),
      curves(cells, 'live', 'Until a live subscriber has it'),
      curves(cells, 'receipt', 'Until it is known to be safe'),
      tails(cells, rate, at),
      everything(cells, at),
    ].filter(({ tables, plots }) => (tables?.length ?? 0) + (plots?.length ?? 0) > 0),
  }
}

type Cells = ReadonlyMap<string, readonly Run[]>
type At = (of: readonly Run[], rate: number) => readonly Run[]

/** The first cell over each other one. */
function ratios(cells: Cells, controls: readonly Run[], rate: number, at: At): Section {
  const [first, ...others] = cells
  if (first === undefined) return { title: 'Ratios', finding: 'Nothing was measured.' }
  const [name, all] = first
  const own = at(all, rate)
  const floors = NAMED.map(([, figure]) => floorOf(own, at(controls, rate), figure))
  const rows = others.map(([other, theirs]): Cell[] => [
    other,
    ...NAMED.map(([, figure], i) => ratioText(compare(own, at(theirs, rate), figure, floors[i]))),
  ])
  const table: Table = {
    columns: [
      { name: `${name} over` },
      ...NAMED.map(([title]) => ({ name: title, unit: 'ratio' })),
    ],
    rows: [...rows, ['noise floor', ...floors.map((floor) => floorText(floor, controls))]],
  }
  const title = `At ${rate.toLocaleString('en')} samples/s`
  const finding =
    `Below 1 ${name} is faster. In brackets the 95 % interval over blocks; ≈ marks what is no ` +
    'difference, because the interval includes 1 or a system differs as much from itself.'
  return { title, finding, tables: [table] }
}

const NAMED: readonly (readonly [string, Figure])[] = [
  ['live p50', FIGURES.liveP50],
  ['live p99', FIGURES.liveP99],
  ['receipt p50', FIGURES.receiptP50],
  ['receipt p99', FIGURES.receiptP99],
  ['CPU', FIGURES.cpuPerMillion],
]

/** Against the offered rate, to the first step that is too much. */
function curves(cells: Cells, which: 'live' | 'receipt', title: string): Section {
  const plot = (quantile: 'p50' | 'p99'): Plot => ({
    title: `${quantile} against offered rate`,
    kind: 'lines',
    x: { label: 'offered', unit: 'samples/s', scale: 'log' },
    y: { label: `${which} latency, ${quantile}`, unit: 'ms', scale: 'log' },
    series: [...cells].flatMap(([name, runs]) => {
      const points = [...Map.groupBy(runs, ({ load }) => load.rate!)].flatMap(([rate, of]) =>
        curvePoint(rate, of, (run) => run[which]?.[quantile]),
      )
      return points.length === 0 ? [] : [{ name, points }]
    }),
  })
  const plots = [plot('p50'), plot('p99')].filter(({ series }) => series.length > 0)
  const finding =
    'From the time a sample was due, whenever it could be sent. Hollow points: the system did not keep ' +
    'up with what was offered, or the load process could not offer it.'
  return { title, finding, plots }
}

function curvePoint(rate: number, runs: readonly Run[], figure: Figure): Point[] {
  const values = runs.flatMap((run) => figure(run) ?? []).sort((a, b) => a - b)
  if (values.length === 0) return []
  const y = values[values.length >> 1]! / 1000
  const isHollow = runs.some(({ isSustained, voids }) => !isSustained || voids.length > 0)
  return [{ x: rate, y, low: values[0]! / 1000, high: values.at(-1)! / 1000, isHollow }]
}

function tails(cells: Cells, rate: number, at: At): Section {
  const plot = (which: 'live' | 'receipt'): Plot => ({
    title: `${which}, all blocks together`,
    kind: 'lines',
    x: { label: 'percentile', unit: '%', scale: 'tail' },
    y: { label: `${which} latency`, unit: 'ms', scale: 'log' },
    series: [...cells].flatMap(([name, runs]) => {
      const all = together(at(runs, rate), which)
      if (all === undefined) return []
      // The far end of a tail is nobody's figure with fewer than ten samples beyond it.
      const known = PERCENTILES.filter((p) => (all.count * (100 - p)) / 100 >= 10)
      const values = percentiles(all, known)
      return [{ name, points: known.map((p, i) => ({ x: p, y: values[i]! / 1000 })) }]
    }),
  })
  const plots = [plot('live'), plot('receipt')].filter(({ series }) => series.length > 0)
  return {
    title: `The tail at ${rate.toLocaleString('en')} samples/s`,
    finding: 'Nothing is trimmed: pauses of garbage collectors and of the machine are in it.',
    plots,
  }
}

function everything(cells: Cells, at: At): Section {
  const rates = new Set([...cells.values()].flat().map(({ load }) => load.rate!))
  const rows = [...rates].flatMap((rate) =>
    [...cells].flatMap(([name, runs]) => {
      const of = at(runs, rate)
      if (of.length === 0) return []
      const ms = (figure: Figure): number | undefined => {
        const us = median(of, figure)
        return us === undefined ? undefined : us / 1000
      }
      return [
        [
          rate,
          name,
          ms(FIGURES.liveP50),
          ms(FIGURES.liveP99),
          ms(FIGURES.receiptP50),
          ms(FIGURES.receiptP99),
          median(of, FIGURES.cpuPerMillion),
          state(of),
        ],
      ]
    }),
  )
  const columns = [
    { name: 'offered', unit: 'samples/s' },
    { name: 'system' },
    { name: 'live p50', unit: 'ms' },
    { name: 'live p99', unit: 'ms' },
    { name: 'receipt p50', unit: 'ms' },
    { name: 'receipt p99', unit: 'ms' },
    { name: 'CPU', unit: 's / million' },
    { name: '' },
  ]
  return {
    title: 'Every step',
    finding:
      'Medians over blocks. CPU is that of all processes together: servers, publisher, subscriber.',
    tables: [{ columns, rows }],
  }
}

/** Why a step is no figure of the system. */
function state(runs: readonly Run[]): string {
  const isSustained = runs.every((run) => run.isSustained)
  return voidText(runs) || (isSustained ? '' : 'not sustained')
}
