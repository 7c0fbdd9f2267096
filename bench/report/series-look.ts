// How a series looks: a system has one colour and one marker in all plots, its second and third series
// other dashes, so that a plot reads without colours too. The page gives the colours their values
// (page-style.ts), for light and dark ground.
import { BENCH_SYSTEM_NAMES } from '../systems/system.ts'

export interface Look {
  readonly colour: string
  /** A symbol of Observable Plot. */
  readonly symbol: (typeof SYMBOLS)[number]
  /** stroke-dasharray. */
  readonly dash: string
}

/** One for each system, and for others. */
const SYMBOLS = [
  'circle',
  'square',
  'triangle',
  'diamond',
  'star',
  'cross',
  'wye',
  'hexagon',
] as const
const OTHERS = SYMBOLS.length - BENCH_SYSTEM_NAMES.length
const DASHES = ['none', '6 4', '2 3', '10 3 2 3']

/** Longest first: `nats-core` begins with `nats`. */
const SYSTEMS = BENCH_SYSTEM_NAMES.toSorted((a, b) => b.length - a.length)

export type Looks = ReadonlyMap<string, Look>

/** By name, in order. Names that begin with no system's share the two that the systems leave. */
export function looks(names: readonly string[]): Looks {
  const seen = new Map<number, number>()
  let others = 0
  const entries = names.map((name): [string, Look] => {
    const index = systemIndex(name) ?? BENCH_SYSTEM_NAMES.length + (others++ % OTHERS)
    const before = seen.get(index) ?? 0
    seen.set(index, before + 1)
    const look = {
      colour: `var(--series-${index + 1})`,
      symbol: SYMBOLS[index]!,
      dash: DASHES[before % DASHES.length]!,
    }
    return [name, look]
  })
  return new Map(entries)
}

/** Of the system whose name `text` begins with. */
export function systemIndex(text: string): number | undefined {
  const found = SYSTEMS.find((system) => new RegExp(`^${system}(?!\\w)`, 'i').test(text))
  return found && BENCH_SYSTEM_NAMES.indexOf(found)
}
