// Rates in steps: which of them a system kept up with.
import type { Run } from '../result.ts'

/** Mostly too much at some step: those above it tell nothing more. */
export function isSaturated(runs: readonly Run[]): boolean {
  return byRate(runs).some(([, of]) => isTooMuch(of))
}

export interface Sustained {
  /** The highest rate offered that it kept up with, and with all below; samples/s. Undefined: not the lowest. */
  readonly rate: number | undefined
  /** Whether it fell behind or lost something at the next one: else that is not known, it was void or none. */
  readonly isMost: boolean
}

export function sustained(runs: readonly Run[]): Sustained {
  const steps = byRate(runs).sort(([a], [b]) => a - b)
  const end = steps.findIndex(([, of]) => isTooMuch(of))
  const kept = end < 0 ? steps : steps.slice(0, end)
  return { rate: kept.at(-1)?.[0], isMost: steps[end]?.[1].some(hasFailed) ?? false }
}

function byRate(runs: readonly Run[]): [number, Run[]][] {
  return [...Map.groupBy(runs, ({ load }) => load.rate!)]
}

function isTooMuch(runs: readonly Run[]): boolean {
  return runs.filter(isPast).length * 2 > runs.length
}

/** Because of the system, not of the generator or the machine. */
const hasFailed = ({ isSustained, counts }: Run): boolean =>
  !isSustained || counts.lost > 0 || counts.duplicates > 0

const isPast = ({ isSustained, voids }: Run): boolean => !isSustained || voids.length > 0
