// What the runs of `cost` say, and what a sample takes in each encoding.
import type { Cell, Column, Plot, Report, Section } from '../report/report.ts'
import type { Run } from '../result.ts'
import { byCell } from '../stats/by-cell.ts'
import { cpuSeconds, PARTS, type Part } from './cpu.ts'
import { payloadName } from './payloads.ts'
import { sampleBytes } from './sample-bytes.ts'
import {
  compare,
  FIGURES,
  floorOf,
  floorText,
  median,
  ratioText,
  samplesOf,
  type Figure,
} from '../stats/figures.ts'

const COLUMNS: readonly (Column & { readonly figure: Figure })[] = [
  { name: 'CPU', unit: 's', figure: FIGURES.cpuPerMillion },
  { name: 'memory', unit: 'MiB', figure: (run) => FIGURES.memoryBytes(run) / 2 ** 20 },
  { name: 'written to disk', unit: 'MB', figure: FIGURES.writtenPerSample },
  { name: 'sent', unit: 'MB', figure: FIGURES.sentPerSample },
  { name: 'fsyncs', figure: FIGURES.fsyncsPerMillion },
]

export function costReport(question: string, runs: readonly Run[]): Report {
  const byLoad = Map.groupBy(runs, ({ load, setting }) => {
    const rate = load.rate!.toLocaleString('en')
    return `${payloadName(load)}, ${rate} samples/s, ${setting.tier}, compression ${setting.compress ? 'on' : 'off'}`
  })
  return {
    title: 'Cost',
    question,
    sections: [...[...byLoad].map(([title, of]) => section(title, of)), sampleBytes()],
  }
}

function section(title: string, runs: readonly Run[]): Section {
  const { cells, controls } = byCell(runs)
  const [first] = cells
  if (first === undefined) return { title, finding: 'Nothing was measured.' }
  const [name, own] = first
  const floor = floorOf(own, controls, FIGURES.cpuPerMillion)
  const rows = [...cells].map(([system, of]): Cell[] => [
    system,
    ...COLUMNS.map(({ figure }) => median(of, figure)),
    of === own ? '' : ratioText(compare(own, of, FIGURES.cpuPerMillion, floor)),
  ])
  const columns = [
    { name: 'a million samples' },
    ...COLUMNS.map(({ name: column, unit }) => ({ name: column, ...(unit && { unit }) })),
    { name: `CPU of ${name} over it`, unit: 'ratio' },
  ]
  return {
    title,
    finding:
      'Medians over blocks, all processes together: servers, one publisher, one subscriber. Memory is ' +
      `what they hold at the end, not for a million. The noise of CPU here: ${floorText(floor, controls)}.`,
    tables: [{ columns, rows }],
    plots: [cpuBars(cells)],
  }
}

/** Whose CPU: by process, one beside the other. */
function cpuBars(cells: ReadonlyMap<string, readonly Run[]>): Plot {
  return {
    title: 'CPU of a million samples, by part',
    kind: 'bars',
    x: { label: 'part' },
    y: { label: 'CPU', unit: 's / million samples' },
    series: [...cells].map(([name, runs]) => ({
      name,
      points: PARTS.flatMap((part) => {
        const y = median(runs, cpuOf(part))
        return y === undefined ? [] : [{ x: part, y }]
      }),
    })),
  }
}

function cpuOf(part: Part): Figure {
  return (run) => (1e6 * cpuSeconds(run, part)) / samplesOf(run)
}
