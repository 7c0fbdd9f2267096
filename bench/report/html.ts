// A result as one HTML file for people: no scripts, nothing loaded from anywhere, light and dark, on paper
// too.
import type { Result } from '../result.ts'
import { counts } from '../stats/figures.ts'
import { figure } from './figure.ts'
import { keyFigures } from './key-figures.ts'
import { html, Markup } from './markup.ts'
import { methodMarkup } from './method.ts'
import { PAGE_STYLE } from './page-style.ts'
import { drawPlot, NARROW, WIDE } from './plots.ts'
import type { Plot, Section } from './report.ts'
import { tableMarkup } from './table-markup.ts'

export function drawPage(result: Result): string {
  const { title, question, sections } = result.report
  const names = seriesNames(sections)
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'"
        />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · Skein bench</title>
        <style>
          ${new Markup(PAGE_STYLE)}
        </style>
      </head>
      <body>
        <main>
          <header>
            <p class="eyebrow">Skein bench · ${result.scenario}</p>
            <h1>${title}</h1>
            <p class="question">${question}</p>
            <p class="facts-line">${factsLine(result)}</p>
          </header>
          ${incompleteMarkup(result)} ${keyMarkup(result)}
          ${sections.map((section) => sectionMarkup(section, names))} ${methodMarkup(result)}
        </main>
      </body>
    </html> `.text
}

/** So that a series has the same look in every plot of the page. */
function seriesNames(sections: readonly Section[]): string[] {
  const plots = sections.flatMap(({ plots = [] }) => plots)
  return [...new Set(plots.flatMap(({ series }) => series.map(({ name }) => name)))]
}

function factsLine({ startedAt, machine, runs }: Result): string {
  const voids = runs.filter((run) => !counts(run)).length
  return [
    `${startedAt.slice(0, 16).replace('T', ' ')} UTC`,
    `${machine.cpus} × ${machine.cpuModel}`,
    `${runs.length} runs${voids === 0 ? '' : `, ${voids} of them void`}`,
  ].join(' · ')
}

function incompleteMarkup({ isComplete }: Result): Markup | undefined {
  if (isComplete) return undefined
  return html`<p class="notice">
    <strong>Not complete.</strong> The bench was stopped before its end: what is here was measured,
    what is missing was not.
  </p>`
}

function keyMarkup({ runs }: Result): Markup | undefined {
  const key = keyFigures(runs)
  if (key === undefined) return undefined
  const { table, rate } = key
  const at = rate === undefined ? '' : `Latencies at ${figure(rate)} samples/s. `
  return html`<section class="key">
    <h2>Key figures</h2>
    ${tableMarkup(table)}
    <p class="caption">
      ${at}All runs that count, together; rates and costs are medians. CPU is that of all processes
      at the most sustained rate.
    </p>
  </section>`
}

function sectionMarkup(section: Section, names: readonly string[]): Markup {
  const { title, finding, plots = [], tables = [] } = section
  return html`<section>
    <h2>${title}</h2>
    <p class="finding">${finding}</p>
    <div class="plots">${plots.map((plot) => figureMarkup(plot, names))}</div>
    ${tables.map(tableMarkup)}
  </section>`
}

/** Drawn twice, since text in a picture does not wrap: the page shows the one that fits (page-style.ts). */
function figureMarkup(plot: Plot, names: readonly string[]): Markup {
  const draw = (width: number): Markup => new Markup(drawPlot(plot, width, names))
  return html`<figure class="${plot.kind}">
    <figcaption>${plot.title}</figcaption>
    <div class="wide">${draw(WIDE)}</div>
    <div class="narrow">${draw(NARROW)}</div>
  </figure>`
}
