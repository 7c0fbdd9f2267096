// Where values stand on an axis, and which of them get a tick. Plots are drawn in places (a value, its
// logarithm, the nines of a percentile), so that they need to know one kind of scale only.
import type { Axis } from './report.ts'

export interface Tick {
  readonly place: number
  readonly label: string
}

export interface AxisScale {
  /** Places of the two ends. */
  readonly ends: readonly [number, number]
  /** From many to few: the first whose labels find room is to be drawn. */
  readonly tickSets: readonly (readonly Tick[])[]
  /** Places of small marks without a label, which tell a logarithmic axis. */
  readonly minor: readonly number[]
}

type Kind = NonNullable<Axis['scale']>

const TICK_COUNTS = [8, 6, 5, 4, 3, 2, 1]
const MANTISSAS = [1, 2, 3, 4, 5, 6, 7, 8, 9]
/** Wider logarithmic axes have no small marks: they would run together. */
const MINOR_DECADES_MAX = 4
/** For what rounding does to sums of decimal fractions. */
const TINY = 1e-9

// Nine digits: 99.99999 is not 100, and 0.1 + 0.2 is 0.3.
const format = new Intl.NumberFormat('en', { maximumSignificantDigits: 9 })

/** Undefined where the scale has no place: log at 0 and below, tail at 100 and above. */
export function placeOf(
  kind: Axis['scale'] = 'linear',
  value: number = Number.NaN,
): number | undefined {
  const place = toPlace[kind](value)
  return Number.isFinite(place) ? place : undefined
}

const toPlace: Record<Kind, (value: number) => number> = {
  linear: (value) => value,
  log: (value) => (value > 0 ? Math.log10(value) : Number.NaN),
  tail: (value) => (value < 100 ? -Math.log10(1 - value / 100) : Number.NaN),
}

/** For values whose places are all within `least` and `most`. */
export function axisScale(kind: Kind, least: number, most: number): AxisScale {
  const ends = endsOf[kind](least, most)
  const isInside = (place: number): boolean => place >= ends[0] - TINY && place <= ends[1] + TINY
  const tickSets = valuesOf[kind](ends).map((values) =>
    values
      .map((value) => ({ place: toPlace[kind](value), label: format.format(value) }))
      .filter(({ place }) => isInside(place)),
  )
  const isLabelled = kind === 'log' && ends[1] - ends[0] <= MINOR_DECADES_MAX
  const minor = isLabelled ? logValues(ends, MANTISSAS).map(toPlace.log).filter(isInside) : []
  return { ends, tickSets, minor }
}

const endsOf: Record<Kind, (least: number, most: number) => readonly [number, number]> = {
  linear(least, most) {
    if (least === most) return most === 0 ? [0, 1] : [Math.min(0, most), Math.max(0, most)]
    const step = roundStep((most - least) / 5)
    return [Math.floor(least / step + TINY) * step, Math.ceil(most / step - TINY) * step]
  },
  log(least, most) {
    const values = logValues([least, most], MANTISSAS).map(toPlace.log)
    const low = values.findLast((place) => place <= least + TINY)!
    const high = values.find((place) => place >= most - TINY)!
    return low < high ? [low, high] : [low - 0.5, high + 0.5]
  },
  tail: (least, most) => [Math.min(0, least), Math.max(1, most)],
}

const valuesOf: Record<Kind, (ends: readonly [number, number]) => (readonly number[])[]> = {
  linear: ([low, high]) =>
    TICK_COUNTS.map((count) => {
      const step = roundStep((high - low) / count)
      const first = Math.ceil(low / step - TINY)
      const steps = Math.floor(high / step + TINY) - first
      return Array.from({ length: steps + 1 }, (_, index) => (first + index) * step)
    }),
  log(ends) {
    const decades = logValues(ends, [1])
    return [
      logValues(ends, MANTISSAS),
      logValues(ends, [1, 2, 5]),
      ...[1, 2, 3, 4].map((every) => decades.filter((_, index) => index % every === 0)),
    ]
  },
  tail([, high]) {
    const nines = Array.from({ length: Math.ceil(high) + 1 }, (_, count) =>
      Number((100 - 10 ** (2 - count)).toFixed(count)),
    )
    return [
      [0, 50, ...nines.slice(1)],
      nines,
      ...[2, 3].map((every) => nines.filter((_, i) => i % every === 0)),
    ]
  },
}

/** Every mantissa in every decade that the places touch, in rising order. */
function logValues([low, high]: readonly [number, number], mantissas: readonly number[]): number[] {
  const first = Math.floor(low)
  const decades = Array.from({ length: Math.ceil(high) - first + 1 }, (_, index) => first + index)
  return decades.flatMap((decade) => mantissas.map((mantissa) => mantissa * 10 ** decade))
}

/** The smallest of 1, 2, 5, 10, 20, … that is not below `step`. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step))
  return ([1, 2, 5, 10].find((mantissa) => mantissa * power >= step - TINY * power) ?? 10) * power
}
