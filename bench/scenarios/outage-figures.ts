// What an outage did: how soon after it things went on, what came meanwhile, what was lost.
import type { Run } from '../result.ts'
import type { Observed } from '../run/incident.ts'
import type { Arrived } from '../run/messages.ts'
import { fates, steps, type Fate } from './fates.ts'

/** µs on the clock of measure/clock.ts. */
export interface Outage {
  /** All servers were sent SIGKILL. */
  readonly killedUs: number
  readonly startedUs: number
  /** They said that they were ready. */
  readonly answeredUs: number
}

/** Names in `Run.extra`. A time that never came is not there. */
export type OutageFigures = {
  /** From the start of the servers to their answer. */
  readonly answerMs: number
  /** The first receipt after the start: from the answer on (below 0: before it), and from the start on. */
  readonly receiptAfterAnswerMs?: number
  readonly receiptAfterStartMs?: number
  /** The last receipt for what was due before the answer. */
  readonly drainedAfterAnswerMs?: number
  readonly drainedAfterStartMs?: number
  /** The longest time without a live delivery, of those that ended after the kill. */
  readonly liveGapMs: number
  /** Of the samples that were due while there was no server, those delivered live before there was one; 0 to 1. */
  readonly liveMeanwhile: number
  readonly withoutReceipt: number
  readonly notDelivered: number
  readonly deliveredTwice: number
  /** Had a receipt, and was not there when all was read back. */
  readonly lostAfterReceipt: number
  readonly storedTwice: number
}

/** The plot begins so long before the kill. */
const BEFORE_US = 2e6

export function outageFigures(observed: Observed, outage: Outage): Pick<Run, 'extra' | 'steps'> {
  const { killedUs, startedUs, answeredUs } = outage
  const all = [...fates(observed)]
  const receipts = all.flatMap(({ receiptUs }) => (receiptUs > 0 ? [receiptUs] : []))
  const arrivals = arrivalsOf(observed.arrived[0])
  const firstUs = least(receipts.filter((atUs) => atUs >= startedUs))
  const drainedUs = most(
    all.flatMap(({ dueUs, receiptUs }) => (dueUs < answeredUs && receiptUs > 0 ? receiptUs : [])),
  )
  const extra: OutageFigures = {
    answerMs: (answeredUs - startedUs) / 1000,
    ...(firstUs !== undefined && {
      receiptAfterAnswerMs: (firstUs - answeredUs) / 1000,
      receiptAfterStartMs: (firstUs - startedUs) / 1000,
    }),
    ...(drainedUs !== undefined && {
      drainedAfterAnswerMs: (drainedUs - answeredUs) / 1000,
      drainedAfterStartMs: (drainedUs - startedUs) / 1000,
    }),
    liveGapMs: longestGapUs(arrivals, killedUs) / 1000,
    liveMeanwhile: liveMeanwhile(all, observed.arrived[0], outage),
    withoutReceipt: all.length - receipts.length,
    notDelivered: all.length - (observed.arrived[0]?.count ?? 0),
    deliveredTwice: observed.arrived[0]?.duplicates ?? 0,
    lostAfterReceipt: lostAfterReceipt(all, observed.readBack),
    storedTwice: observed.readBack?.duplicates ?? 0,
  }
  const fromUs = killedUs - BEFORE_US
  return {
    extra,
    steps: {
      receipts: steps(receipts, fromUs, killedUs),
      deliveries: steps(arrivals, fromUs, killedUs),
    },
  }
}

/** In ascending order. */
function arrivalsOf(arrived: Arrived | undefined): Float64Array {
  return (arrived?.arrivalUs ?? new Float64Array()).filter((atUs) => atUs > 0).sort()
}

/** Between two that follow each other, the later one after `fromUs`. */
export function longestGapUs(ascendingUs: Float64Array, fromUs: number): number {
  let longestUs = 0
  for (const [index, atUs] of ascendingUs.entries()) {
    if (index > 0 && atUs > fromUs) longestUs = Math.max(longestUs, atUs - ascendingUs[index - 1]!)
  }
  return longestUs
}

function liveMeanwhile(
  all: readonly Fate[],
  arrived: Arrived | undefined,
  { killedUs, startedUs }: Outage,
): number {
  const due = all.filter(({ dueUs }) => dueUs >= killedUs && dueUs < startedUs)
  const came = due.filter(({ number }) => {
    const atUs = arrived?.arrivalUs?.[number] ?? 0
    return atUs > 0 && atUs < startedUs
  })
  return due.length === 0 ? 0 : came.length / due.length
}

function lostAfterReceipt(all: readonly Fate[], readBack: Arrived | undefined): number {
  const isThere = (number: number): boolean => (readBack?.arrivalUs?.[number] ?? 0) > 0
  return all.filter(({ number, receiptUs }) => receiptUs > 0 && !isThere(number)).length
}

function least(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((a, b) => Math.min(a, b))
}

function most(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((a, b) => Math.max(a, b))
}
