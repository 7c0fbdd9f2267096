// From vitest's JSON report to the table of conformance: a row for each case, a column for each transport.
import { TRANSPORTS, type TransportName } from '../../mesh/index.ts'

export type Outcome = 'passed' | 'failed' | { readonly skipped: string }

export interface CaseRow {
  /** `contract`, or the part of the transport suite. */
  readonly group: string
  readonly title: string
  readonly outcomes: ReadonlyMap<TransportName, Outcome>
}

/** What is used of vitest's JSON report. */
export interface JsonReport {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message?: string
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[]
      readonly title: string
      readonly status: string
    }[]
  }[]
}

const SUITE = /^(\w+): the (transport suite|contract)$/
const SKIPPED = /^(.*) \[skipped: (.*)\]$/

/** In the order of the suites; the contract first. */
export function rowsOf(report: JsonReport): CaseRow[] {
  const rows = new Map<string, CaseRow & { outcomes: Map<TransportName, Outcome> }>()
  for (const { assertionResults } of report.testResults) {
    for (const { ancestorTitles, title, status } of assertionResults) {
      const at = ancestorTitles.findIndex((text) => SUITE.test(text))
      const [, transport, suite] = SUITE.exec(ancestorTitles[at] ?? '') ?? []
      if (transport === undefined) continue
      const group = suite === 'contract' ? 'contract' : (ancestorTitles[at + 1] ?? 'transport')
      const [, bare = title, reason = 'not run'] = SKIPPED.exec(title) ?? []
      const key = `${group}\n${bare}`
      let row = rows.get(key)
      if (row === undefined) rows.set(key, (row = { group, title: bare, outcomes: new Map() }))
      row.outcomes.set(transport as TransportName, outcomeOf(status, reason))
    }
  }
  const all = [...rows.values()]
  return [
    ...all.filter(({ group }) => group === 'contract'),
    ...all.filter(({ group }) => group !== 'contract'),
  ]
}

function outcomeOf(status: string, reason: string): Outcome {
  if (status === 'passed' || status === 'failed') return status
  return { skipped: reason }
}

export interface Counts {
  passed: number
  failed: number
  skipped: number
}

export function countsOf(rows: readonly CaseRow[]): Counts {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const outcome of rows.flatMap(({ outcomes }) => [...outcomes.values()])) {
    if (typeof outcome === 'string') counts[outcome] += 1
    else counts.skipped += 1
  }
  return counts
}

/** Reasons of skips, numbered in the order in which they appear. */
function reasonsOf(rows: readonly CaseRow[]): string[] {
  const reasons = new Set<string>()
  for (const { outcomes } of rows) {
    for (const outcome of outcomes.values()) {
      if (typeof outcome !== 'string') reasons.add(outcome.skipped)
    }
  }
  return [...reasons]
}

const columnsOf = (rows: readonly CaseRow[]): TransportName[] =>
  TRANSPORTS.filter((name) => rows.some(({ outcomes }) => outcomes.has(name)))

function cellOf(outcome: Outcome | undefined, reasons: readonly string[]): string {
  if (outcome === undefined) return ''
  if (outcome === 'passed') return 'pass'
  return outcome === 'failed' ? 'FAIL' : `skip ${reasons.indexOf(outcome.skipped) + 1}`
}

/** For a terminal. */
export function textTable(rows: readonly CaseRow[]): string[] {
  const reasons = reasonsOf(rows)
  const columns = columnsOf(rows)
  const name = ({ group, title }: CaseRow): string => `${group}: ${title}`
  const width = Math.max(0, ...rows.map((row) => name(row).length))
  const widths = columns.map((column) => Math.max(column.length, 7))
  const line = (first: string, cells: readonly string[]): string =>
    [first.padEnd(width), ...cells.map((cell, i) => cell.padEnd(widths[i]!))].join('  ').trimEnd()
  return [
    line('', columns),
    ...rows.map((row) =>
      line(
        name(row),
        columns.map((column) => cellOf(row.outcomes.get(column), reasons)),
      ),
    ),
    '',
    ...reasons.map((reason, index) => `skip ${index + 1}: ${reason}`),
  ]
}

/** For docs/conformance.md. */
export function markdown(rows: readonly CaseRow[]): string[] {
  const reasons = reasonsOf(rows)
  const columns = columnsOf(rows)
  const cells = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`
  const lines: string[] = []
  let group = ''
  for (const row of rows) {
    if (row.group !== group) {
      ;({ group } = row)
      lines.push('', `## ${HEADINGS[group] ?? `Transport suite: ${group}`}`, '')
      lines.push(cells(['case', ...columns]), cells(['---', ...columns.map(() => '---')]))
    }
    const title = row.title.replaceAll('|', '\\|').replaceAll('<', '&lt;')
    lines.push(
      cells([title, ...columns.map((column) => cellOf(row.outcomes.get(column), reasons))]),
    )
  }
  return [
    ...lines,
    '',
    '## Why a case is skipped',
    '',
    ...reasons.map((text, i) => `${i + 1}. ${text}`),
  ]
}

const HEADINGS: Readonly<Record<string, string>> = { contract: 'The contract suite' }
