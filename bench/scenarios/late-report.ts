// What the runs of `late` say: how soon a late joiner had it all, and who worked for that.
import type { Cell, Report, Section } from '../report/report.ts'
import type { Run } from '../result.ts'
import { byCell } from '../stats/by-cell.ts'
import { cpuSeconds } from './cpu.ts'
import { counts, median, type Figure } from '../stats/figures.ts'
import type { LateFigures } from './late-figures.ts'
import { overTime } from './over-time.ts'
import {
  againstOthers,
  counted,
  digits,
  duration,
  FASTER,
  noiseSentence,
  voidSentence,
} from './sentences.ts'

/** Fewer than this were just on their way. */
const BEHIND_MIN = 500

type Cells = ReadonlyMap<string, readonly Run[]>

export function lateReport(question: string, runs: readonly Run[]): Report {
  const { cells } = byCell(runs.filter(({ extra }) => extra !== undefined))
  return {
    title: 'Late joiner',
    question,
    sections:
      cells.size === 0
        ? [{ title: 'Late joiner', finding: `Nothing was measured.${voidSentence(runs)}` }]
        : [reading(cells, runs), effort(cells)],
  }
}

const of =
  (name: keyof LateFigures): Figure =>
  ({ extra }) =>
    extra?.[name]

function reading(cells: Cells, runs: readonly Run[]): Section {
  const [firstName] = cells.keys()
  const rows = [...cells].map(([name, all]): Cell[] => [
    name,
    median(all, of('history')),
    median(all, of('waiting')),
    median(all, of('firstMs')),
    median(all, of('lastMs')),
    median(all, of('historyPerSecond')),
    median(all, of('seamMs')),
  ])
  const columns = [
    { name: 'system' },
    { name: 'history', unit: 'samples' },
    { name: 'not yet vouched for', unit: 'samples' },
    { name: 'first', unit: 'ms' },
    { name: 'all', unit: 'ms' },
    { name: 'read', unit: 'samples/s' },
    { name: 'longest wait of live', unit: 'ms' },
  ]
  const comparison = againstOthers(cells, of('lastMs'), FASTER)
  const finding = [
    ...[...cells].map(([name, all]) => readingSentence(name, all)),
    ...(comparison === undefined ? [] : [`${firstName} is ${comparison}.`]),
    ...(runs.some(counts)
      ? [
          'In the runs that count nothing is missing and nothing came twice where history and live meet.',
        ]
      : []),
  ].join(' ')
  return {
    title: 'Until it has all',
    finding: `${finding}${noiseSentence(runs)}${voidSentence(runs)}`,
    tables: [{ columns, rows }],
    plots: [
      overTime(cells, {
        title: 'What the late joiner has, in the first run of each system',
        name: 'read',
        since: 'it opened',
        label: 'history and live',
      }),
    ],
  }
}

function readingSentence(name: string, runs: readonly Run[]): string {
  if (!runs.some(counts)) return `No run of ${name} counts.`
  const figure = (which: keyof LateFigures): number | undefined => median(runs, of(which))
  return (
    `${name}: the first sample after ${duration(figure('firstMs'))}, all ` +
    `${counted(figure('history') ?? 0, 'sample')} of history after ${duration(figure('lastMs'))}, ` +
    `${digits(figure('historyPerSecond') ?? 0)} samples/s${behind(figure('waiting') ?? 0)}.`
  )
}

/** Whoever still stores what was published cannot hand it out. */
function behind(waiting: number): string {
  return waiting < BEHIND_MIN
    ? ''
    : `; but of its history ${counted(waiting, 'sample')} had no receipt yet when it was asked for`
}

function effort(cells: Cells): Section {
  const rows = [...cells].map(([name, runs]): Cell[] => [
    name,
    median(runs, of('readerCpuSeconds')),
    median(runs, (run) => cpuSeconds(run, 'server')),
    median(runs, (run) => cpuSeconds(run, 'publisher')),
    median(runs, ({ cost }) => cost.seconds),
  ])
  const columns = [
    { name: 'system' },
    { name: 'late joiner', unit: 'CPU s' },
    { name: 'servers', unit: 'CPU s' },
    { name: 'publisher', unit: 'CPU s' },
    { name: 'in a window of', unit: 's' },
  ]
  return {
    title: 'Who works for it',
    finding:
      'Medians over blocks. The late joiner is counted from its opening on; servers and publisher carry ' +
      'the live traffic of the same window as well.',
    tables: [{ columns, rows }],
  }
}
