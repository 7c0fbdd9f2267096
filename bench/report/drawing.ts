// What lines.ts and bars.ts hand to plots.ts, and what both need: axes with ticks that keep apart, names
// with units, and a legend. Nobody can measure text here, so room for it is reckoned for a wide font.
import * as Plot from '@observablehq/plot'
import type { AxisScale, Tick } from './axis-scale.ts'
import { withUnit } from './figure.ts'
import type { Axis } from './report.ts'
import type { Look } from './series-look.ts'

export interface Drawing {
  /** px, like all that follows. */
  readonly height: number
  readonly margins: Readonly<Record<`margin${'Top' | 'Right' | 'Bottom' | 'Left'}`, number>>
  readonly x: PlotScale
  readonly y: PlotScale
  readonly marks: readonly Plot.Markish[]
}

interface PlotScale {
  readonly domain: readonly [number, number]
  readonly range?: readonly [number, number]
}

export const INK = 'currentColor'
export const MUTED = 'var(--muted)'
export const GROUND = 'var(--ground)'
export const EDGE = 'var(--edge)'
const GRID = 'var(--grid)'

export const FONT_SIZE = 12
export const LINE = 20
export const RADIUS = 4.5
/** Tick labels and the name of the axis below the lowest line. */
export const MARGIN_BOTTOM = 52

/** Of the widest of the fonts that system-ui stands for. */
const CHARACTER = 7.4
const X_GAP = 14
const SAMPLE = 28
const SPACE = 8
const KEY_GAP = 14

export function textWidth(text: string): number {
  return text.length * CHARACTER
}

/** The most ticks whose labels keep apart, at least two. `size`: px that a label takes along the axis. */
export function roomyTicks(
  { ends: [low, high], tickSets }: AxisScale,
  length: number,
  size: (label: string) => number,
): readonly Tick[] {
  const at = ({ place }: Tick): number => ((place - low) / (high - low)) * length
  const fits = (ticks: readonly Tick[]): boolean =>
    ticks.every((tick, index) => {
      const next = ticks[index + 1]
      return next === undefined || at(next) - at(tick) >= (size(tick.label) + size(next.label)) / 2
    })
  const [all = []] = tickSets
  return tickSets.find((ticks) => ticks.length > 1 && fits(ticks)) ?? [all[0]!, all.at(-1)!]
}

/** `length` px. Ticks are a line each through the whole plot, and a label. */
export function xAxis(scale: AxisScale, length: number): Plot.Markish[] {
  const ticks = roomyTicks(scale, length, (label) => textWidth(label) + X_GAP)
  return [
    Plot.gridX(places(ticks), { stroke: GRID, strokeOpacity: 1 }),
    Plot.axisX(places(ticks), labels(ticks)),
    Plot.axisX([...scale.minor], MINOR),
  ]
}

export function yAxis(scale: AxisScale, ticks: readonly Tick[]): Plot.Markish[] {
  return [
    Plot.gridY(places(ticks), { stroke: GRID, strokeOpacity: 1 }),
    Plot.axisY(places(ticks), labels(ticks)),
    Plot.axisY([...scale.minor], MINOR),
  ]
}

const MINOR = { tickFormat: () => '', tickSize: 4, label: null, stroke: MUTED } as const

function places(ticks: readonly Tick[]): number[] {
  return ticks.map(({ place }) => place)
}

function labels(ticks: readonly Tick[]): Plot.AxisXOptions & Plot.AxisYOptions {
  return {
    tickFormat: (_: number, index: number) => ticks[index]!.label,
    tickSize: 0,
    tickPadding: 9,
    label: null,
    fill: MUTED,
  }
}

/** With the unit; begins or ends at `x`, and is cut rather than wider than `width`. */
export function axisName(
  axis: Axis,
  { x, y, width, anchor }: { x: number; y: number; width: number; anchor: 'start' | 'end' },
): Plot.Markish {
  return Plot.text([withUnit(axis)], {
    x: px(x),
    y: px(y),
    textAnchor: anchor,
    lineWidth: width / FONT_SIZE,
    textOverflow: 'ellipsis',
    fill: INK,
  })
}

export interface Key {
  readonly text: string
  /** Of a series. */
  readonly look?: Look
  /** What a sign without a colour of its own means. */
  readonly sign?: 'hollow' | 'band' | 'interval'
}

/** One after the other, in as many rows as it takes, from the top left corner. */
export function legend(
  keys: readonly Key[],
  width: number,
): { readonly height: number; readonly marks: readonly Plot.Markish[] } {
  let x = 0
  let row = 0
  const marks: Plot.Markish[] = []
  for (const key of keys) {
    const sample = key.look === undefined && key.sign === undefined ? 0 : SAMPLE + SPACE
    const needed = sample + textWidth(key.text)
    if (x > 0 && x + needed > width) [x, row] = [0, row + 1]
    const y = row * LINE + LINE / 2
    marks.push(...sampleMarks(key, x, y), keyText(key, x + sample, y, width))
    x += needed + KEY_GAP
  }
  return { height: keys.length === 0 ? 0 : (row + 1) * LINE, marks }
}

function keyText({ text, look }: Key, x: number, y: number, width: number): Plot.Markish {
  return Plot.text([text], {
    x: px(x),
    y: px(y),
    textAnchor: 'start',
    lineWidth: (width - x) / FONT_SIZE,
    textOverflow: 'ellipsis',
    fill: look === undefined ? MUTED : INK,
  })
}

function sampleMarks({ look, sign }: Key, x: number, y: number): Plot.Markish[] {
  const stroke = look?.colour ?? MUTED
  const line = (options: Plot.LineOptions): Plot.Markish =>
    Plot.line([x, x + SAMPLE], {
      x: { value: (at: number) => at, scale: null },
      y: px(y),
      stroke,
      strokeWidth: 1.5,
      ...options,
    })
  const dot = (options: Plot.DotOptions): Plot.Markish =>
    Plot.dot([0], { x: px(x + SAMPLE / 2), y: px(y), r: RADIUS, ...options })
  if (look !== undefined) {
    const { colour, symbol, dash } = look
    return [line({ strokeWidth: 2, strokeDasharray: dash }), dot({ symbol, fill: colour })]
  }
  if (sign === 'hollow') return [dot({ stroke, fill: GROUND })]
  if (sign === 'band')
    return [line({ strokeWidth: 12, strokeOpacity: 0.25, strokeLinecap: 'butt' })]
  return sign === 'interval' ? [line({})] : []
}

/** A place in the picture, not on a scale. */
export function px(at: number): Plot.ChannelValueSpec {
  return { value: () => at, scale: null }
}
