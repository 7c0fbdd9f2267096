// "How it was measured": all that somebody needs to doubt the figures, or to measure them again.
import { bytes, durationMs } from '../../cli/format/units.ts'
import type { Result, Run } from '../result.ts'
import { counts, FIGURES } from '../stats/figures.ts'
import { settingNames } from './conditions.ts'
import { figure } from './figure.ts'
import { html, type Markup } from './markup.ts'
import type { Cell, Table } from './report.ts'
import { tableMarkup } from './table-markup.ts'

export function methodMarkup(result: Result): Markup {
  const { command, configurations, notes, runs } = result
  const voids = runs.filter((run) => !counts(run))
  return html`<section class="method">
    <h2>How it was measured</h2>
    <p>To measure it again:</p>
    <pre><code>${command}</code></pre>
    ${
      notes.length === 0
        ? undefined
        : html`<h3>Notes</h3>
            <ul>
              ${notes.map((note) => html`<li>${note}</li>`)}
            </ul>`
    }
    <div class="facts">
      <div>
        <h3>Machine</h3>
        ${factsMarkup(machineFacts(result))}
      </div>
      <div>
        <h3>Versions</h3>
        ${factsMarkup(Object.entries(result.versions))}
      </div>
    </div>
    ${
      voids.length === 0
        ? undefined
        : html`<h3>Void runs</h3>
            <p>They count in no figure; a plot that shows one has a hollow point.</p>
            ${tableMarkup(voidTable(voids, settingNames(runs)))}`
    }
    ${detailsMarkup('What each cell is', tableMarkup(cellTable(runs)))}
    ${detailsMarkup(`All ${runs.length} runs`, tableMarkup(runTable(runs)))}
    ${Object.entries(configurations).map(([name, configuration]) =>
      detailsMarkup(
        `Configuration: ${name}`,
        html`<pre><code>${JSON.stringify(configuration, null, 2)}</code></pre>`,
      ),
    )}
  </section>`
}

function detailsMarkup(summary: string, content: Markup): Markup {
  return html`<details>
    <summary>${summary}</summary>
    ${content}
  </details>`
}

function factsMarkup(facts: readonly (readonly [string, string])[]): Markup {
  return html`<dl>
    ${facts.map(
      ([name, value]) =>
        html`<dt>${name}</dt>
          <dd>${value}</dd>`,
    )}
  </dl>`
}

function machineFacts({ machine, seed, startedAt, finishedAt }: Result): [string, string][] {
  return [
    ['Host', machine.host],
    ['Processors', `${machine.cpus} × ${machine.cpuModel}`],
    ['Memory', bytes(machine.memoryBytes)],
    ['Kernel', machine.kernel],
    ['Node.js', machine.node],
    ['File system', machine.filesystem],
    ['4 KiB and fdatasync', `${figure(machine.fdatasyncUs)} µs, p50, idle`],
    ['Clocks apart', `${figure(machine.clockOffsetUs)} µs at most`],
    ['Seed', String(seed)],
    ['Took', durationMs(Date.parse(finishedAt) - Date.parse(startedAt))],
  ]
}

function voidTable(runs: readonly Run[], nameOf: (run: Run) => string): Table {
  return {
    columns: [
      { name: 'cell' },
      { name: 'block' },
      { name: 'offered', unit: 'samples/s' },
      { name: 'why' },
    ],
    rows: runs.map((run) => [nameOf(run), run.block + 1, run.load.rate, run.voids.join('; ')]),
  }
}

/** Each setting and load once; the rates are in the table of runs. */
function cellTable(runs: readonly Run[]): Table {
  const groups = Map.groupBy(runs, settingNames(runs))
  return {
    columns: [
      ...['cell', 'system', 'receipt vouches for', 'tuning', 'compression', 'form', 'schedule'].map(
        (name) => ({ name }),
      ),
      { name: 'copies' },
      { name: 'samples a frame' },
      { name: 'sources' },
      { name: 'publishers' },
      { name: 'subscribers' },
      { name: 'warm-up', unit: 's' },
      { name: 'window', unit: 's' },
    ],
    rows: [...groups].map(([name, [run]]) => {
      const { setting, load } = run!
      return [
        name,
        setting.system,
        setting.tier,
        setting.tuning,
        setting.compress ? 'on' : 'off',
        load.form,
        load.schedule,
        setting.copies,
        load.samplesPerFrame,
        load.sources,
        load.publishers,
        load.subscribers,
        load.warmupSeconds,
        load.seconds,
      ]
    }),
  }
}

function runTable(runs: readonly Run[]): Table {
  const nameOf = settingNames(runs)
  return {
    columns: [
      { name: 'cell' },
      { name: 'block' },
      { name: 'offered', unit: 'samples/s' },
      { name: 'published', unit: 'samples/s' },
      { name: 'receipts', unit: 'samples/s' },
      { name: 'delivered', unit: 'samples/s' },
      { name: 'live p50', unit: 'ms' },
      { name: 'live p99', unit: 'ms' },
      { name: 'live max', unit: 'ms' },
      { name: 'receipt p50', unit: 'ms' },
      { name: 'receipt p99', unit: 'ms' },
      { name: 'receipt max', unit: 'ms' },
      { name: 'generator lag p99', unit: 'ms' },
      { name: 'CPU', unit: 's/million' },
      { name: 'fsyncs' },
      { name: 'stolen', unit: '%' },
      { name: 'verdict' },
    ],
    rows: runs.map((run) => [nameOf(run), ...runRow(run)]),
  }
}

function runRow(run: Run): Cell[] {
  const { live, receipt, lag, cost } = run
  const ms = (us: number | undefined): number | undefined => us && us / 1000
  return [
    run.block + 1,
    run.load.rate,
    run.publishedPerSecond,
    run.receiptsPerSecond,
    run.deliveredPerSecond,
    ms(live?.p50),
    ms(live?.p99),
    ms(live?.max),
    ms(receipt?.p50),
    ms(receipt?.p99),
    ms(receipt?.max),
    ms(lag?.p99),
    FIGURES.cpuPerMillion(run),
    cost.fsyncs,
    cost.stealShare * 100,
    verdict(run),
  ]
}

function verdict(run: Run): string {
  if (!counts(run)) return 'void'
  return run.isSustained ? '' : 'not sustained'
}
