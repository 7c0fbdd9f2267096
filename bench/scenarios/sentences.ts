// Results in words, made from figures: true whatever the figures are.
import type { Run } from '../result.ts'
import { compare, type Comparison, type Figure } from '../stats/figures.ts'
import { BLOCKS_MIN } from '../stats/ratio.ts'

export interface Words {
  /** What less of the figure is, and what more is. */
  readonly less: string
  readonly more: string
}

export const FASTER: Words = { less: 'faster', more: 'slower' }
export const CHEAPER: Words = { less: 'cheaper', more: 'dearer' }

/**
 * `2.4 times faster than kafka (2.1–2.6)`; `no different from nats (0.9–1.1)`. Without the interval where
 * there were too few blocks for one, which noiseSentence() tells.
 */
export function against(
  other: string,
  { ratio, low, high, verdict }: Comparison,
  { less, more }: Words,
): string {
  const isLess = ratio < 1
  const word = isLess ? less : more
  const times = isLess ? 1 / ratio : ratio
  const interval = isLess ? [1 / high, 1 / low] : [low, high]
  if (!Number.isFinite(high)) return `${digits(times)} times ${word} than ${other}`
  if (verdict === 'equal')
    return `no different from ${other} (ratio ${digits(low)}–${digits(high)})`
  return `${digits(times)} times ${word} than ${other} (${interval.map(digits).join('–')})`
}

/** The first cell against each other one, as far as runs of both count in the same block: `listed()`. */
export function againstOthers(
  cells: ReadonlyMap<string, readonly Run[]>,
  figure: Figure,
  words: Words,
  floor = 1,
): string | undefined {
  const [first, ...others] = cells
  const texts = others.flatMap(([name, theirs]) => {
    const comparison = compare(first![1], theirs, figure, floor)
    return comparison === undefined ? [] : [against(name, comparison, words)]
  })
  return texts.length === 0 ? undefined : listed(texts)
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(words: readonly string[]): string {
  const last = words.at(-1) ?? ''
  return words.length < 2 ? last : `${words.slice(0, -1).join(', ')} and ${last}`
}

/** `120 ms`, `3.4 s`; `never` for what did not come. */
export function duration(ms: number | undefined): string {
  if (ms === undefined) return 'never'
  return Math.abs(ms) < 1000 ? `${digits(ms)} ms` : `${digits(ms / 1000)} s`
}

/** `12,000`, `1 sample`. */
export function counted(count: number, what: string): string {
  return `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`
}

/** What of the runs counts for nothing, as a sentence after others; empty when all count. */
export function voidSentence(runs: readonly Run[]): string {
  const voided = runs.filter(({ voids }) => voids.length > 0)
  const [first] = voided
  if (first === undefined) return ''
  return (
    ` Of ${counted(runs.length, 'run')} ${voided.length} ${voided.length === 1 ? 'counts' : 'count'} ` +
    `for nothing, as one of ${first.cell}: ${first.voids.join('; ')}.`
  )
}

/** That of so few blocks nothing is sure, as a sentence after others; empty where there were enough. */
export function noiseSentence(runs: readonly Run[]): string {
  const blocks = new Set(runs.map(({ block }) => block)).size
  if (blocks >= BLOCKS_MIN) return ''
  return ` ${counted(blocks, 'block')}: too few to tell a difference from noise.`
}

export function digits(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return String(Number(value.toPrecision(2)))
}
