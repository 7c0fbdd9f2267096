import { describe, expect, it } from 'vitest'
import { drawPage } from './html.ts'
import { keyFigures } from './key-figures.ts'
import { html } from './markup.ts'
import { exampleResult } from './testing.ts'

describe('drawPage', () => {
  const result = exampleResult()
  const page = drawPage(result)

  it('the page - loads nothing and runs nothing', () => {
    expect(page.replaceAll('xmlns="http://www.w3.org/2000/svg"', '')).not.toMatch(/https?:|url\(/)
    expect(page).not.toMatch(/<(?:script|link|img|iframe|object)\b|\son\w+=|@import/i)
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`)
  })

  it('the page - has question, findings, figures and how they were measured', () => {
    const { report, machine, command } = result
    const { sections } = report
    const parts = [
      report.title,
      report.question,
      ...sections.flatMap(({ title, finding }) => [title, finding]),
      command,
      machine.cpuModel,
      'ext4',
      '2.12.3',
      'log.flush.interval.messages',
      'without zenoh',
    ]
    for (const part of parts) expect(page).toContain(part)
    expect(page.indexOf('Key figures')).toBeLessThan(page.indexOf(sections[0]!.title))
    // Each plot is drawn wide and narrow.
    const plots = sections.flatMap(({ plots = [] }) => plots)
    expect(page.match(/<svg /g)).toHaveLength(2 * plots.length)
  })

  it('a void run - is listed with its reason, and counted', () => {
    expect(page).toContain('1 of them void')
    expect(page).toContain('the generator was late: p99 &lt;12&gt; ms behind its plan')
  })

  it('values - are escaped', () => {
    expect(page).toContain('nats, &lt;b&gt;synced&lt;/b&gt;')
    const hostile = '<script>alert("1")</script>'
    const { report } = result
    const hostilePage = drawPage({
      ...result,
      report: { ...report, title: hostile, question: hostile },
    })
    expect(hostilePage).not.toContain('<script')
  })

  it('a bench that was interrupted - is said to be', () => {
    expect(page).not.toContain('Not complete')
    expect(drawPage({ ...result, isComplete: false })).toContain('Not complete')
  })

  it('a result without runs - has a page', () => {
    const nothing = drawPage({ ...result, runs: [], report: { ...result.report, sections: [] } })
    expect(nothing).toContain('How it was measured')
    expect(nothing).not.toContain('Key figures')
  })
})

describe('keyFigures', () => {
  const { runs } = exampleResult()

  it('rows - are the settings; a system without receipts has none', () => {
    const { table, rate } = keyFigures(runs)!
    expect(rate).toBe(1_000)
    expect(table.rows.map(([name]) => name)).toEqual([
      'skein',
      'kafka',
      'nats',
      'nats-core',
      'zeromq-raw',
    ])
    expect(table.rows[3]!.slice(3, 5)).toEqual([undefined, undefined])
  })

  it('the most sustained - is not the step that was too much', () => {
    const { table } = keyFigures(runs)!
    const column = table.columns.findIndex(({ name }) => name === 'most sustained')
    expect(table.rows[0]![column]).toBeGreaterThan(90_000)
    expect(table.rows[0]![column]).toBeLessThanOrEqual(100_000)
  })

  it('void runs - count for nothing', () => {
    expect(keyFigures(runs.map((run) => ({ ...run, voids: ['late'] })))).toBeUndefined()
  })

  it('columns that nobody has - are left out', () => {
    const rows = runs.map(({ live: _live, receipt: _receipt, ...run }) => run)
    const { table } = keyFigures(rows)!
    expect(table.columns.map(({ name }) => name)).toEqual(['', 'most sustained', 'CPU there'])
  })
})

describe('html', () => {
  it('text - is escaped, in attributes too', () => {
    expect(html`<b title="${`"&'`}">${'<i>'}</b>`.text).toBe(
      '<b title="&quot;&amp;&#39;">&lt;i&gt;</b>',
    )
  })

  it('markup - is not; undefined is nothing', () => {
    expect(html`<b>${html`<i>${1}</i>`}${undefined}${[html`a`]}</b>`.text).toBe('<b><i>1</i>a</b>')
  })
})
