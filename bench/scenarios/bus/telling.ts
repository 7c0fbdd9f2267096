// How the experiments of the buses are told: the same figures, tables, bars and sentences for all.
import type { Plot, Table } from '../../report/report.ts'
import type { Run } from '../../result.ts'
import {
  compare,
  FIGURES,
  median,
  voidText,
  type Comparison,
  type Figure,
} from '../../stats/figures.ts'
import { digits } from '../sentences.ts'

/** A figure with its name, of the runs that it is taken from. */
export interface Told {
  readonly name: string
  readonly unit: string
  readonly figure: Figure
}

/** How far one and the same cell is from itself, in a figure. */
export type FloorOf = (told: Told) => number

/** What the runs of an experiment differ in: `JSON`, `3 copies`. */
export interface Variants {
  /** In the order in which they are told. */
  readonly names: readonly string[]
  readonly of: (run: Run) => string
}

export const isFlat = ({ load }: Run): boolean => load.rate === undefined

export const flat = (name: string, unit: string, figure: Figure): Told => ({
  name,
  unit,
  figure: (run) => (isFlat(run) ? figure(run) : undefined),
})

const paced = (name: string, figure: Figure): Told => ({
  name,
  unit: 'ms',
  figure: (run) => {
    const us = isFlat(run) ? undefined : figure(run)
    return us === undefined ? undefined : us / 1000
  },
})

/** Flat out, then at the fixed rate. */
export const TOLD = {
  throughput: flat('throughput', 'samples/s', FIGURES.receiptsPerSecond),
  bytes: flat('bytes sent', 'B / sample', FIGURES.sentPerSample),
  cpu: flat('CPU', 's / million', FIGURES.cpuPerMillion),
  fsyncs: flat('fsyncs', '/ 1,000 samples', (run) => {
    const perMillion = FIGURES.fsyncsPerMillion(run)
    return perMillion === undefined ? undefined : perMillion / 1000
  }),
  liveP50: paced('live p50', FIGURES.liveP50),
  liveP99: paced('live p99', FIGURES.liveP99),
  receiptP50: paced('receipt p50', FIGURES.receiptP50),
  receiptP99: paced('receipt p99', FIGURES.receiptP99),
} as const satisfies Record<string, Told>

export function bySystem(runs: readonly Run[]): ReadonlyMap<string, readonly Run[]> {
  const systems = Map.groupBy(runs, ({ setting }) => setting.system)
  // In the order of reports, whatever was measured first.
  return new Map([...systems].sort(([a], [b]) => b.localeCompare(a)))
}

export function byVariant(
  runs: readonly Run[],
  { names, of }: Variants,
): ReadonlyMap<string, readonly Run[]> {
  const found = Map.groupBy(runs, of)
  return new Map(names.flatMap((name) => (found.has(name) ? [[name, found.get(name)!]] : [])))
}

/** A row for each system and variant, medians over blocks, with those figures that any run has. */
export function tableOf(runs: readonly Run[], variants: Variants, wanted: readonly Told[]): Table {
  const told = wanted.filter(({ figure }) => runs.some((run) => figure(run) !== undefined))
  return {
    columns: [
      { name: 'system' },
      { name: '' },
      ...told.map(({ name, unit }) => ({ name, unit })),
      { name: '' },
    ],
    rows: [...bySystem(runs)].flatMap(([system, own]) =>
      [...byVariant(own, variants)].map(([name, of]) => [
        system,
        name,
        ...told.map(({ figure }) => median(of, figure)),
        voidText(of),
      ]),
    ),
  }
}

/** The variants beside each other, each with a bar for each system. */
export function barsOf(
  runs: readonly Run[],
  variants: Variants,
  { name, unit, figure }: Told,
  label: string,
): Plot {
  return {
    title: name,
    kind: 'bars',
    x: { label },
    y: { label: name, unit },
    series: [...bySystem(runs)].map(([system, own]) => ({
      name: system,
      points: [...byVariant(own, variants)].flatMap(([x, of]) => {
        const y = median(of, figure)
        return y === undefined ? [] : [{ x, y }]
      }),
    })),
  }
}

/** Sentences that have something to say. */
export function findingOf(sentences: readonly string[]): string {
  return sentences.filter((sentence) => sentence !== '').join(' ')
}

/** The first variant over the second, system by system: `On skein, Protobuf against JSON: 1.2 times …`. */
export function againstInEach(
  runs: readonly Run[],
  variants: Variants,
  [a, b]: readonly [string, string],
  told: readonly Told[],
  floorOf: FloorOf,
): string {
  return [...bySystem(runs)]
    .flatMap(([system, own]) => {
      const of = byVariant(own, variants)
      const words = against(of.get(a) ?? [], of.get(b) ?? [], told, floorOf)
      return words === undefined ? [] : [`On ${system}, ${a} against ${b}: ${words}.`]
    })
    .join(' ')
}

/** Skein over Kafka with one variant. Empty where one of them has no figure. */
export function skeinAgainstKafka(
  runs: readonly Run[],
  variants: Variants,
  wanted: string,
  told: readonly Told[],
  floorOf: FloorOf,
): string {
  const systems = bySystem(runs.filter((run) => variants.of(run) === wanted))
  const words = against(systems.get('skein') ?? [], systems.get('kafka') ?? [], told, floorOf)
  return words === undefined ? '' : `Skein against Kafka, ${wanted}: ${words}.`
}

/** `1.2 (1.1–1.3) times the samples/s, the same CPU (0.98, inside the noise)`. */
export function against(
  a: readonly Run[],
  b: readonly Run[],
  told: readonly Told[],
  floorOf: FloorOf,
): string | undefined {
  const words = told.flatMap((one) => {
    const { name, figure } = one
    const has = (run: Run): boolean => figure(run) !== undefined
    const ratio = compare(a.filter(has), b.filter(has), figure, floorOf(one))
    return ratio === undefined ? [] : [ratioWords(ratio, name)]
  })
  return words.length === 0 ? undefined : words.join(', ')
}

function ratioWords({ ratio, low, high, verdict }: Comparison, name: string): string {
  if (!Number.isFinite(high)) return `${digits(ratio)} times the ${name}`
  if (verdict === 'equal') return `the same ${name} (${digits(ratio)}, inside the noise)`
  return `${digits(ratio)} (${digits(low)}–${digits(high)}) times the ${name}`
}
