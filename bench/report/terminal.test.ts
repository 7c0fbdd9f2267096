import { describe, expect, it } from 'vitest'
import { displayWidth } from '../../cli/format/width.ts'
import type { Table } from './report.ts'
import { drawReport } from './terminal.ts'
import { exampleResult } from './testing.ts'

const TABLE: Table = {
  columns: [
    { name: 'offered', unit: 'samples/s' },
    { name: 'system' },
    { name: 'live p50', unit: 'µs' },
    { name: 'receipt p50', unit: 'µs' },
  ],
  rows: [
    [1_000, 'skein', 98.24, undefined],
    [1_330_000, 'kafka latency', 0.94, 1_005],
  ],
}

const report = (table: Table) => ({
  title: 'Latency',
  question: 'How long?',
  sections: [{ title: 'Live', finding: 'Skein is first.', tables: [table] }],
})

describe('drawReport', () => {
  it('a table - has its units in the head, and figures at the right', () => {
    expect(drawReport(report(TABLE), 80)).toBe(`Latency
How long?

Live
  Skein is first.

    offered  system         live p50  receipt p50
  samples/s                       µs           µs
      1,000  skein              98.2            –
  1,330,000  kafka latency      0.94        1,010
`)
  })

  it('a table that is too wide - goes on below, each part with the names of its rows', () => {
    expect(drawReport(report(TABLE), 40)).toContain(`
    offered  system         live p50
  samples/s                       µs
      1,000  skein              98.2
  1,330,000  kafka latency      0.94

    offered  system         receipt p50
  samples/s                          µs
      1,000  skein                    –
  1,330,000  kafka latency        1,010
`)
  })

  it.each([40, 80, 120])('%i columns - no line is wider', (width) => {
    const lines = drawReport(exampleResult().report, width).split('\n')
    expect(Math.max(...lines.map(displayWidth))).toBeLessThanOrEqual(width)
  })

  it('a section without tables - is its finding', () => {
    const { title, question } = report(TABLE)
    const text = drawReport({ title, question, sections: [{ title: 'A', finding: 'B' }] }, 80)
    expect(text).toBe('Latency\nHow long?\n\nA\n  B\n')
  })
})
