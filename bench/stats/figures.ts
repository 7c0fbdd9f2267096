// Figures of runs as reports need them: by cell, over blocks, and against each other.
import { merged } from '../measure/distribution.ts'
import type { Distribution, Run } from '../result.ts'
import { noiseFloor, pairedRatio, verdict, type Ratio } from './ratio.ts'

/** Undefined where a run has no such figure. */
export type Figure = (run: Run) => number | undefined

export const FIGURES = {
  liveP50: (run) => run.live?.p50,
  liveP99: (run) => run.live?.p99,
  receiptP50: (run) => run.receipt?.p50,
  receiptP99: (run) => run.receipt?.p99,
  /** Samples/s whose receipts came in the window. */
  receiptsPerSecond: (run) => run.receiptsPerSecond || undefined,
  /** Or frames, which are to a store what a message is to a broker. */
  messagesPerSecond: ({ cost }) => cost.sentMessages / cost.seconds,
  /** CPU-seconds of all processes together for a million samples. */
  cpuPerMillion: (run) => (1e6 * sum(run.cost.cpuSeconds)) / samplesOf(run),
  fsyncsPerMillion: (run) =>
    run.cost.fsyncs === undefined ? undefined : (1e6 * run.cost.fsyncs) / samplesOf(run),
  /** What the servers handed to the block layer, bytes a sample. */
  writtenPerSample: (run) => run.cost.writtenBytes / samplesOf(run),
  /** What producers sent, bytes a sample. */
  sentPerSample: (run) => run.cost.sentBytes / samplesOf(run),
  memoryBytes: (run) => sum(run.cost.memoryBytes),
} satisfies Record<string, Figure>

/** Samples of the measured window. */
export function samplesOf({ publishedPerSecond, receiptsPerSecond, cost }: Run): number {
  return Math.max(
    1,
    (receiptsPerSecond > 0 ? receiptsPerSecond : publishedPerSecond) * cost.seconds,
  )
}

export const counts = ({ voids }: Run): boolean => voids.length === 0

/** `1 of 3 void`; empty when all count. */
export function voidText(runs: readonly Run[]): string {
  const isVoid = runs.filter((run) => !counts(run)).length
  return isVoid === 0 ? '' : `${isVoid} of ${runs.length} void`
}

/** Goals are stated at this rate, samples/s. */
const GOAL_RATE = 1_000

/** The rate nearest to that of the goals; undefined where no run has one. */
export function goalRate(runs: readonly Run[]): number | undefined {
  const far = (rate: number): number => Math.abs(Math.log(rate / GOAL_RATE))
  const rates = runs.flatMap(({ load }) => load.rate ?? [])
  return rates.sort((a, b) => far(a) - far(b))[0]
}

/** Of the runs that count. */
export function median(runs: readonly Run[], figure: Figure): number | undefined {
  const values = runs.filter(counts).flatMap((run) => figure(run) ?? [])
  return values.sort((a, b) => a - b)[values.length >> 1]
}

/** All latencies of the runs that count, as one distribution. */
export function together(
  runs: readonly Run[],
  which: 'live' | 'receipt' | 'lag',
): Distribution | undefined {
  return merged(runs.filter(counts).flatMap((run) => run[which] ?? []))
}

export interface Comparison extends Ratio {
  /** faster means less, for latencies and costs; the caller turns it round for rates. */
  readonly verdict: ReturnType<typeof verdict>
}

/** a over b, paired by block; `floor` is how far a system is from itself. */
export function compare(
  a: readonly Run[],
  b: readonly Run[],
  figure: Figure,
  floor = 1,
): Comparison | undefined {
  const ratio = pairedRatio(...paired(a, b, figure))
  return ratio && { ...ratio, verdict: verdict(ratio, floor) }
}

/** From the runs of a cell and of its control, the same cell again. */
export function floorOf(cell: readonly Run[], control: readonly Run[], figure: Figure): number {
  return noiseFloor(pairedRatio(...paired(cell, control, figure)))
}

/** ± 12 %; a dash where nothing was measured beside itself. */
export function floorText(floor: number, control: readonly Run[]): string {
  return control.length === 0 ? '–' : `± ${Math.round((floor - 1) * 100)} %`
}

/** 0.42 (0.38–0.47); the interval only where there is one. */
export function ratioText(comparison: Comparison | undefined): string {
  if (comparison === undefined) return '–'
  const { ratio, low, high } = comparison
  const digits = (value: number): string => String(Number(value.toPrecision(2)))
  if (!Number.isFinite(high)) return digits(ratio)
  const isEqual = comparison.verdict === 'equal' ? ' ≈' : ''
  return `${digits(ratio)} (${digits(low)}–${digits(high)})${isEqual}`
}

function paired(
  a: readonly Run[],
  b: readonly Run[],
  figure: Figure,
): [readonly number[], readonly number[]] {
  const byBlock = new Map(b.filter(counts).map((run) => [run.block, run]))
  const pairs = a.filter(counts).flatMap((run) => {
    const other = byBlock.get(run.block)
    const [mine, theirs] = [figure(run), other && figure(other)]
    return mine === undefined || theirs === undefined ? [] : [[mine, theirs] as const]
  })
  return [pairs.map(([mine]) => mine), pairs.map(([, theirs]) => theirs)]
}

function sum(values: Readonly<Record<string, number>>): number {
  return Object.values(values).reduce((total, value) => total + value, 0)
}
