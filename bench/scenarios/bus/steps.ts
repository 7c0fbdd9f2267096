// Offered rates in steps to beyond what is taken, in words and as curves.
import type { Plot, Point } from '../../report/report.ts'
import type { Run } from '../../result.ts'
import type { Cell } from '../../run/run.ts'
import type { Figure } from '../../stats/figures.ts'
import { counts } from '../../stats/figures.ts'
import { isSaturated, sustained } from '../steps.ts'

/** Above a step of the same cell that was too much: that tells nothing more. */
export function isBeyond({ name, load: { rate } }: Cell, runs: readonly Run[]): boolean {
  if (rate === undefined) return false
  return isSaturated(runs.filter(({ cell, load }) => cell === name && load.rate! < rate))
}

/** `sustains 20,000/s, not 50,000/s`; `no run at 5,000/s counts (…)`. */
export function sustainedWords(runs: readonly Run[]): string {
  const { rate: most = 0 } = sustained(runs)
  const end = Math.min(...runs.map(({ load }) => load.rate!).filter((rate) => rate > most))
  if (end === Infinity) return `sustains all that was offered, ${perSecond(most)}`
  const words = endWords(
    end,
    most > 0,
    runs.filter(({ load }) => load.rate === end),
  )
  return most > 0 ? `sustains ${perSecond(most)}, ${words}` : words
}

/** A load process that was late says nothing of the system; what a slow subscriber missed does. */
function endWords(rate: number, isFollowing: boolean, runs: readonly Run[]): string {
  const isRefused = runs.some((run) => run.counts.lost > 0 || (counts(run) && !run.isSustained))
  if (isRefused) return `${isFollowing ? 'not' : 'does not sustain'} ${perSecond(rate)}`
  const [why] = runs.flatMap(({ voids }) => voids)
  return `no run at ${perSecond(rate)} counts (${why})`
}

/** Against the offered rate, medians over blocks; hollow where a step was too much. */
export function curvesOf(
  title: string,
  series: readonly { readonly name: string; readonly runs: readonly Run[] }[],
  y: { readonly label: string; readonly unit: string; readonly figure: Figure },
): Plot {
  const { figure, ...axis } = y
  return {
    title,
    kind: 'lines',
    x: { label: 'offered', unit: 'samples/s', scale: 'log' },
    y: { ...axis, scale: 'log' },
    series: series.map(({ name, runs }) => {
      const { rate: most = 0 } = sustained(runs)
      const byRate = [...Map.groupBy(runs, ({ load }) => load.rate!)].sort(([a], [b]) => a - b)
      return { name, points: byRate.flatMap(([rate, of]) => point(rate, of, figure, rate > most)) }
    }),
  }
}

/** Void runs too: they are hollow. */
function point(x: number, runs: readonly Run[], figure: Figure, isHollow: boolean): Point[] {
  const values = runs.flatMap((run) => figure(run) ?? []).sort((a, b) => a - b)
  const y = values[values.length >> 1]
  return y === undefined ? [] : [{ x, y, isHollow }]
}

const perSecond = (rate: number): string => `${rate.toLocaleString('en')}/s`
