// Lines with points: latency against rate, percentile curves, anything over time.
import * as Plot from '@observablehq/plot'
import { axisScale, placeOf, type AxisScale } from './axis-scale.ts'
import {
  axisName,
  GROUND,
  legend,
  LINE,
  MARGIN_BOTTOM,
  MUTED,
  RADIUS,
  roomyTicks,
  textWidth,
  xAxis,
  yAxis,
  type Drawing,
  type Key,
} from './drawing.ts'
import { figure } from './figure.ts'
import type { Axis, Plot as PlotData, Point } from './report.ts'
import type { Look, Looks } from './series-look.ts'

const HEIGHT = 300
const MARGIN_RIGHT = 20
/** px from one label to the next, up and down. */
const Y_PITCH = 28
/** Of a line with more points only some are marked, or the markers hide the line. */
const MARKERS_MAX = 14

/** A point as places on the two scales. */
interface Placed {
  readonly x: number
  readonly y: number
  readonly low: number | undefined
  readonly high: number | undefined
  readonly isHollow: boolean
  /** What somebody who points at it is told. */
  readonly title: string
}

interface Line {
  readonly name: string
  readonly look: Look
  readonly points: readonly Placed[]
}

/** Undefined when no point has a place. */
export function linesDrawing(plot: PlotData, width: number, found: Looks): Drawing | undefined {
  const lines = placedLines(plot, found)
  const points = lines.flatMap((line) => line.points)
  if (points.length === 0) return undefined
  const x = xScale(plot.x, points)
  const y = yScale(plot.y, points)
  const keys = legend(keysOf(lines), width)
  const yTicks = roomyTicks(y, HEIGHT, () => Y_PITCH)
  const marginTop = keys.height + LINE * 2
  const marginLeft = 14 + Math.max(...yTicks.map(({ label }) => textWidth(label)))
  const height = marginTop + HEIGHT + MARGIN_BOTTOM
  return {
    height,
    margins: { marginTop, marginRight: MARGIN_RIGHT, marginBottom: MARGIN_BOTTOM, marginLeft },
    x: { domain: x.ends },
    y: { domain: y.ends },
    marks: [
      ...keys.marks,
      ...yAxis(y, yTicks),
      ...xAxis(x, width - marginLeft - MARGIN_RIGHT),
      Plot.ruleY([y.ends[0]], { stroke: MUTED }),
      axisName(plot.y, { x: 0, y: keys.height + LINE, width, anchor: 'start' }),
      axisName(plot.x, { x: width - MARGIN_RIGHT, y: height - 10, width, anchor: 'end' }),
      // The first lies on top.
      ...lines.toReversed().flatMap(lineMarks),
    ],
  }
}

function placedLines({ x, y, series }: PlotData, found: Looks): Line[] {
  return series.map(({ name, points }) => ({
    name,
    look: found.get(name)!,
    points: points.flatMap((point) => placed(name, point, x, y) ?? []),
  }))
}

function placed(name: string, point: Point, xAxis: Axis, yAxis: Axis): Placed | undefined {
  const x = placeOf(xAxis.scale, Number(point.x))
  const y = placeOf(yAxis.scale, point.y)
  if (x === undefined || y === undefined) return undefined
  const { low, high, isHollow = false } = point
  const unit = ({ unit }: Axis): string => (unit === undefined ? '' : ` ${unit}`)
  const interval = low === undefined ? '' : ` (${figure(low)}–${figure(high)})`
  return {
    x,
    y,
    low: placeOf(yAxis.scale, low),
    high: placeOf(yAxis.scale, high),
    isHollow,
    title: `${name}: ${figure(point.y)}${interval}${unit(yAxis)} at ${point.x}${unit(xAxis)}`,
  }
}

function xScale({ scale = 'linear' }: Axis, points: readonly Placed[]): AxisScale {
  const places = points.map(({ x }) => x)
  return axisScale(scale, Math.min(...places), Math.max(...places))
}

/** Heights over a linear axis are compared, so it begins at 0. */
function yScale({ scale = 'linear' }: Axis, points: readonly Placed[]): AxisScale {
  const from = scale === 'linear' ? [0] : []
  const places = [...from, ...points.flatMap(({ y, low = y, high = y }) => [low, y, high])]
  return axisScale(scale, Math.min(...places), Math.max(...places))
}

function keysOf(lines: readonly Line[]): Key[] {
  const points = lines.flatMap((line) => line.points)
  const keys: Key[] = lines.map(({ name, look }) => ({ text: name, look }))
  if (points.some(hasBand)) keys.push({ text: 'range over blocks', sign: 'band' })
  if (points.some(({ isHollow }) => isHollow)) {
    keys.push({ text: 'not sustained, or void', sign: 'hollow' })
  }
  return keys
}

function lineMarks({ look, points }: Line): Plot.Markish[] {
  const { colour, dash, symbol } = look
  const every = Math.ceil(points.length / MARKERS_MAX)
  const filled = points.filter(({ isHollow }, index) => !isHollow && index % every === 0)
  const hollow = points.filter(({ isHollow }) => isHollow)
  const marker = { x: 'x', y: 'y', title: 'title', symbol, r: RADIUS }
  return [
    Plot.areaY(points.filter(hasBand), {
      x: 'x',
      y1: 'low',
      y2: 'high',
      fill: colour,
      fillOpacity: 0.16,
    }),
    Plot.line(points, { x: 'x', y: 'y', stroke: colour, strokeWidth: 2, strokeDasharray: dash }),
    // An edge of the ground's colour keeps markers apart where lines cross.
    Plot.dot(filled, { ...marker, fill: colour, stroke: GROUND, strokeWidth: 1 }),
    Plot.dot(hollow, { ...marker, fill: GROUND, stroke: colour, strokeWidth: 1.5 }),
  ]
}

function hasBand({ low, high }: Placed): boolean {
  return low !== undefined && high !== undefined
}
