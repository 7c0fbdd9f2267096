// Bars, lying: names of any length stand beside them, and so do the series, so that nothing is told by
// colour alone. On a logarithmic axis, where a length means nothing, they are dots.
import * as Plot from '@observablehq/plot'
import { axisScale, placeOf } from './axis-scale.ts'
import {
  axisName,
  EDGE,
  FONT_SIZE,
  GROUND,
  INK,
  legend,
  LINE,
  MARGIN_BOTTOM,
  MUTED,
  px,
  RADIUS,
  textWidth,
  xAxis,
  type Drawing,
  type Key,
} from './drawing.ts'
import { figure } from './figure.ts'
import type { Axis, Plot as PlotData, Point, Series } from './report.ts'
import { looks, systemIndex, type Look, type Looks } from './series-look.ts'

const PITCH = 24
const THICKNESS = 15
const GROUP_GAP = 12
/** Names take no more of the width; longer ones end with `…`. */
const NAMES_SHARE = 0.45

interface Row {
  readonly name: string
  readonly look: Look
  readonly point: Point
  /** px below the top of the first row. */
  readonly middle: number
}

interface Heading {
  readonly name: string
  readonly middle: number
}

interface Layout {
  readonly rows: readonly Row[]
  readonly headings: readonly Heading[]
  readonly height: number
}

/** Undefined when no bar has a length. */
export function barsDrawing(
  { y: axis, series }: PlotData,
  width: number,
  found: Looks,
): Drawing | undefined {
  const { scale = 'linear' } = axis
  const { rows, headings, height: rowsHeight } = layoutOf(series, found)
  const lengths = rows.flatMap(({ point }) => ends(point, scale))
  if (lengths.length === 0) return undefined
  const from = scale === 'linear' ? [0] : []
  const x = axisScale(scale, Math.min(...from, ...lengths), Math.max(...from, ...lengths))
  const keys = legend(keysOf(series), width)
  const marginTop = keys.height + LINE / 2
  const namesWidth = Math.max(...rows.map(({ name }) => textWidth(name)))
  const marginLeft = 12 + Math.min(namesWidth, width * NAMES_SHARE)
  const marginRight = 16 + Math.max(...rows.map(({ point }) => textWidth(figure(point.y))))
  const height = marginTop + rowsHeight + MARGIN_BOTTOM
  return {
    height,
    margins: { marginTop, marginRight, marginBottom: MARGIN_BOTTOM, marginLeft },
    x: { domain: x.ends },
    y: { domain: [0, rowsHeight], range: [marginTop, marginTop + rowsHeight] },
    marks: [
      ...keys.marks,
      ...xAxis(x, width - marginLeft - marginRight),
      axisName(axis, { x: width - marginRight, y: height - 10, width, anchor: 'end' }),
      namesMark(headings, {
        x: px(0),
        textAnchor: 'start',
        fontWeight: 600,
        stroke: GROUND,
        strokeWidth: 6,
      }),
      namesMark(rows, {
        x: px(marginLeft - 10),
        textAnchor: 'end',
        lineWidth: (marginLeft - 12) / FONT_SIZE,
        textOverflow: 'ellipsis',
      }),
      ...rows.flatMap((row) => rowMarks(row, scale, x.ends[0])),
    ],
  }
}

function namesMark(rows: readonly Heading[], options: Plot.TextOptions): Plot.Markish {
  return Plot.text([...rows], { y: 'middle', text: 'name', fill: INK, ...options })
}

function ends({ y, low, high }: Point, scale: Axis['scale']): number[] {
  return [y, low, high].flatMap((value) => placeOf(scale, value) ?? [])
}

/** One series: a row for each name. More: the names are headings, with a row for each series below. */
function layoutOf(series: readonly Series[], found: Looks): Layout {
  const names = [...new Set(series.flatMap(({ points }) => points.map(({ x }) => String(x))))]
  const isGrouped = series.length > 1
  const ofNames = looks(names)
  const rows: Row[] = []
  const headings: Heading[] = []
  let top = 0
  // Of the names, where there is one series and they are systems.
  const areSystems = !isGrouped && names.some((name) => systemIndex(name) !== undefined)
  for (const [index, name] of names.entries()) {
    if (isGrouped) {
      if (index > 0) top += GROUP_GAP
      headings.push({ name, middle: top + PITCH / 2 })
      top += PITCH
    }
    for (const { name: seriesName, points } of series) {
      const point = points.find(({ x }) => String(x) === name)
      if (point === undefined) continue
      const look = areSystems ? ofNames.get(name)! : found.get(seriesName)!
      rows.push({ name: isGrouped ? seriesName : name, look, point, middle: top + PITCH / 2 })
      top += PITCH
    }
  }
  return { rows, headings, height: top }
}

function keysOf(series: readonly Series[]): Key[] {
  const points = series.flatMap(({ points }) => points)
  const keys: Key[] = series.length === 1 ? [{ text: series[0]!.name }] : []
  if (points.some(({ low, high }) => low !== undefined && high !== undefined)) {
    keys.push({ text: 'range over blocks', sign: 'interval' })
  }
  if (points.some(({ isHollow }) => isHollow)) {
    keys.push({ text: 'not sustained, or void', sign: 'hollow' })
  }
  return keys
}

function rowMarks(
  { look, point, middle }: Row,
  scale: Axis['scale'],
  start: number,
): Plot.Markish[] {
  const { colour, symbol } = look
  const [y, low, high] = [point.y, point.low, point.high].map((value) => placeOf(scale, value))
  const from = placeOf(scale, 0) ?? start
  const [y1, y2] = [middle - THICKNESS / 2, middle + THICKNESS / 2]
  const fill = point.isHollow === true ? GROUND : colour
  const paint = { fill, stroke: colour, strokeWidth: 1.5 }
  const along = (x1: number, x2: number, options: Plot.RuleYOptions): Plot.Markish =>
    Plot.ruleY([0], { x1: [x1], x2: [x2], y: [middle], ...options })
  const marks: Plot.Markish[] = []
  if (y !== undefined && scale === 'log') {
    marks.push(along(start, y, { stroke: EDGE, strokeDasharray: '1 3' }))
    marks.push(Plot.dot([0], { x: [y], y: [middle], symbol, r: RADIUS + 1, ...paint }))
  } else if (y !== undefined) {
    marks.push(Plot.rect([0], { x1: [from], x2: [y], y1: [y1], y2: [y2], ...paint }))
  }
  if (low !== undefined && high !== undefined) {
    marks.push(along(low, high, { stroke: INK, strokeWidth: 1.5 }))
  }
  const valueX = Math.max(y ?? from, high ?? from)
  return [
    ...marks,
    Plot.ruleX([from], { y1: middle - PITCH / 2, y2: middle + PITCH / 2, stroke: MUTED }),
    Plot.text([figure(point.y)], {
      x: [valueX],
      y: [middle],
      dx: 12,
      textAnchor: 'start',
      fill: INK,
    }),
  ]
}
