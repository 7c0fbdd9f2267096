// Plots as SVG. Written by Observable Plot into linkedom's document: no browser is needed to make them,
// and no script to show them.
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { barsDrawing } from './bars.ts'
import { FONT_SIZE, MUTED, type Drawing } from './drawing.ts'
import { linesDrawing } from './lines.ts'
import type { Plot as PlotData } from './report.ts'
import { looks } from './series-look.ts'

/** Fills a page's column. */
export const WIDE = 880
/** For a telephone, and for two beside each other. */
export const NARROW = 400

/**
 * A whole SVG document, `width` px wide and as high as it needs. Colours are CSS variables of the page
 * (page-style.ts); text has the page's font. `names` are of all series that are to be told apart, on a
 * page with several plots more than this one has.
 */
export function drawPlot(
  plot: PlotData,
  width: number = WIDE,
  names: readonly string[] = plot.series.map(({ name }) => name),
): string {
  const drawing = (plot.kind === 'bars' ? barsDrawing : linesDrawing)(plot, width, looks(names))
  const { document } = parseHTML('<html></html>')
  const element = Plot.plot({
    document,
    className: 'plot',
    ariaLabel: plot.title,
    width,
    style: { background: 'none', fontSize: `${FONT_SIZE}px`, fontVariantNumeric: 'tabular-nums' },
    ...(drawing === undefined ? NOTHING : options(drawing)),
  })
  element.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  element.setAttribute('role', 'img')
  return element.outerHTML
}

const NOTHING: Plot.PlotOptions = {
  height: 60,
  marks: [Plot.text(['no figures'], { frameAnchor: 'middle', fill: MUTED })],
}

function options({ height, margins, x, y, marks }: Drawing): Plot.PlotOptions {
  return {
    height,
    ...margins,
    x: { type: 'linear', axis: null, ...x },
    y: { type: 'linear', axis: null, ...y },
    marks: [...marks],
  }
}
