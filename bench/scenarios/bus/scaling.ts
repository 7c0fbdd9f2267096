// The experiment they wished for: one producer until it is the bottleneck, then more of them; then one
// consumer, and more, until the servers are.
import type { Plot, Section, Table } from '../../report/report.ts'
import type { Run } from '../../result.ts'
import type { Cell } from '../../run/run.ts'
import { PARTS } from '../cpu.ts'
import { counts, FIGURES, median } from '../../stats/figures.ts'
import { counted, digits } from '../sentences.ts'
import { sustained } from '../steps.ts'
import { busCell, type Bench, type BusSystem, type Experiment } from './experiment.ts'
import { coresOf, saturatedPart } from './saturation.ts'
import { sustainedWords } from './steps.ts'
import { bySystem, findingOf, isFlat } from './telling.ts'

export const scaling: Experiment = {
  name: 'scaling',

  groups: (bench) => [
    ...bench.rates.map((rate) => each(bench, (system) => [producers(bench, system, 1, rate)])),
    ...(bench.isFlatOut ? bench.processes : []).map((count) =>
      each(bench, (system) => [producers(bench, system, count)]),
    ),
    ...bench.rates.map((rate) =>
      each(bench, (system) =>
        bench.processes.map((count) => consumers(bench, system, count, rate)),
      ),
    ),
  ],

  section(runs): Section {
    const consuming = runs.filter(({ load }) => load.subscribers > 0)
    const producing = runs.filter(({ load }) => load.subscribers === 0)
    const flat = producing.filter(isFlat)
    const paced = producing.filter((run) => !isFlat(run))
    return {
      title: 'One producer, then one consumer, until something is the bottleneck',
      finding: findingOf(
        [...bySystem(runs).keys()].flatMap((system) => [
          producerWords(system, ofSystem(system, paced), ofSystem(system, flat)),
          consumerWords(system, ofSystem(system, consuming)),
        ]),
      ),
      tables: [producerTable(flat), consumerTable(consuming)],
      plots: [producerPlot(flat), consumerPlot(consuming)],
    }
  },
}

function each(bench: Bench, cells: (system: BusSystem) => readonly Cell[]): Cell[] {
  return bench.systems.flatMap(cells)
}

function producers(bench: Bench, system: BusSystem, publishers: number, rate?: number): Cell {
  const { setting, load } = bench
  return busCell(
    scaling,
    counted(publishers, 'producer'),
    { ...setting, system },
    { ...load, publishers, ...(rate !== undefined && { rate }) },
  )
}

function consumers(bench: Bench, system: BusSystem, subscribers: number, rate: number): Cell {
  const { setting, load } = bench
  return busCell(
    scaling,
    counted(subscribers, 'consumer'),
    { ...setting, system },
    { ...load, subscribers, rate },
  )
}

const ofSystem = (system: string, runs: readonly Run[]): readonly Run[] =>
  runs.filter(({ setting }) => setting.system === system)

const byCount = (runs: readonly Run[], count: (run: Run) => number) =>
  [...Map.groupBy(runs, count)].sort(([a], [b]) => a - b)

const publishersOf = ({ load }: Run): number => load.publishers
const subscribersOf = ({ load }: Run): number => load.subscribers

/** What one producer sustains of what is offered, and how much more several reach flat out. */
function producerWords(system: string, paced: readonly Run[], flat: readonly Run[]): string {
  const steps = byCount(flat.filter(counts), publishersOf).map(([count, runs]) => ({
    count,
    perSecond: median(runs, FIGURES.receiptsPerSecond)!,
    saturated: saturatedPart(runs),
  }))
  const reached = steps.map(({ count, perSecond, saturated }, i) => {
    const how =
      i === 0 ? `${digits(perSecond)}/s` : `${digits(perSecond / steps[0]!.perSecond)} times that`
    return `${counted(count, 'producer')} flat out: ${how} (CPU used up: ${saturated})`
  })
  const offered = paced.length === 0 ? [] : [`1 producer: ${sustainedWords(paced)}`]
  const words = [...offered, ...reached]
  return words.length === 0 ? '' : `On ${system}, ${words.join('; ')}.`
}

function consumerWords(system: string, runs: readonly Run[]): string {
  const steps = byCount(runs, subscribersOf)
  if (steps.length === 0) return ''
  const words = steps.map(([count, own]) => `${counted(count, 'consumer')}: ${sustainedWords(own)}`)
  return `On ${system}, everything to each consumer: ${words.join('; ')}.`
}

const CORES = [...PARTS.map((part) => ({ name: part, unit: 'cores' })), { name: 'CPU used up' }]

function coreCells(runs: readonly Run[]): (number | string | undefined)[] {
  return [...PARTS.map((part) => coresOf(runs, part)), saturatedPart(runs)]
}

function producerTable(flat: readonly Run[]): Table {
  return {
    columns: [
      { name: 'system' },
      { name: 'producers' },
      { name: 'receipts', unit: 'samples/s' },
      ...CORES,
    ],
    rows: [...bySystem(flat)].flatMap(([system, own]) =>
      byCount(own, publishersOf).map(([count, runs]) => [
        system,
        count,
        median(runs, FIGURES.receiptsPerSecond),
        ...coreCells(runs),
      ]),
    ),
  }
}

/** At the highest rate that so many consumers sustain. */
function consumerTable(consuming: readonly Run[]): Table {
  return {
    columns: [
      { name: 'system' },
      { name: 'consumers' },
      { name: 'sustained', unit: 'samples/s' },
      { name: 'delivered', unit: 'samples/s' },
      ...CORES,
    ],
    rows: [...bySystem(consuming)].flatMap(([system, own]) =>
      byCount(own, subscribersOf).map(([count, runs]) => {
        const most = sustained(runs).rate
        const there = runs.filter((run) => run.load.rate === most)
        return [
          system,
          count,
          most,
          most === undefined ? undefined : most * count,
          ...coreCells(there),
        ]
      }),
    ),
  }
}

function producerPlot(flat: readonly Run[]): Plot {
  return {
    title: 'Producers, flat out',
    kind: 'lines',
    x: { label: 'producers', scale: 'log' },
    y: { label: 'receipts', unit: 'samples/s' },
    series: [...bySystem(flat)].map(([name, own]) => ({
      name,
      points: byCount(own, publishersOf).flatMap(([x, runs]) => {
        const y = median(runs, FIGURES.receiptsPerSecond)
        return y === undefined ? [] : [{ x, y }]
      }),
    })),
  }
}

function consumerPlot(consuming: readonly Run[]): Plot {
  return {
    title: 'Consumers, at the highest rate that is sustained',
    kind: 'lines',
    x: { label: 'consumers', scale: 'log' },
    y: { label: 'delivered to all together', unit: 'samples/s' },
    series: [...bySystem(consuming)].map(([name, own]) => ({
      name,
      points: byCount(own, subscribersOf).flatMap(([x, runs]) => {
        const most = sustained(runs).rate
        return most === undefined ? [] : [{ x, y: most * x }]
      }),
    })),
  }
}
