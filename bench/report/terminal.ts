// A report as text. Plots are left to the HTML page; the tables have the same figures.
import { table, type Column as TextColumn } from '../../cli/format/table.ts'
import { displayWidth } from '../../cli/format/width.ts'
import { cellText, isFigures } from './figure.ts'
import type { Cell, Report, Section, Table } from './report.ts'

const INDENT = '  '
/** Between two columns of cli/format/table.ts. */
const GAP = 2

/** Lines end with `\n`; none is wider than `width` columns unless a single word or name is. */
export function drawReport({ title, question, sections }: Report, width: number): string {
  const parts = [[title, ...wrap(question, width)], ...sections.map((each) => lines(each, width))]
  return parts.map((part) => `${part.join('\n')}\n`).join('\n')
}

function lines({ title, finding, tables = [] }: Section, width: number): string[] {
  const room = width - INDENT.length
  const body = [
    wrap(finding, room),
    ...tables.flatMap((table) => split(table, room)).map(tableLines),
  ]
  const indented = body.map((part) => part.map((line) => `${INDENT}${line}`.trimEnd()))
  return [title, ...indented.flatMap((part, index) => (index === 0 ? part : ['', ...part]))]
}

/** Units stand below the names, so that a column is as narrow as its figures. */
function tableLines(shown: Table): string[] {
  const { columns, rows } = shown
  const hasUnits = columns.some(({ unit }) => unit !== undefined)
  const units = hasUnits ? [columns.map(({ unit = '' }) => unit)] : []
  const textColumns = columns.map(({ name }, index): TextColumn<readonly Cell[]> => ({
    title: name,
    value: (row) => cellText(row[index]),
    align: isFigures(shown, index) ? 'right' : 'left',
  }))
  return table([...units, ...rows], textColumns)
}

/**
 * A table that is wider than `room` as several, one below the other: figures that are cut off help
 * nobody. Each begins with the columns that name the rows.
 */
function split(whole: Table, room: number): Table[] {
  const widths = whole.columns.map((_, index) => columnWidth(whole, index) + GAP)
  const all = [...widths.keys()]
  const names = all.slice(0, nameColumns(whole))
  const width = (indexes: readonly number[]): number =>
    indexes.reduce((sum, index) => sum + widths[index]!, -GAP)
  const parts = [[...names]]
  for (const index of all.slice(names.length)) {
    const part = parts.at(-1)!
    const isFull = part.length > names.length && width([...part, index]) > room
    if (isFull) parts.push([...names, index])
    else part.push(index)
  }
  return parts.map((part) => pick(whole, part))
}

/** How many columns tell what a row is of: names, and a figure before them. */
function nameColumns(table: Table): number {
  const isName = table.columns.map((_, index) => !isFigures(table, index))
  const first = isName.indexOf(true)
  if (first < 0 || first > 1) return 1
  const end = isName.indexOf(false, first)
  return end < 0 ? isName.length : end
}

function columnWidth({ columns, rows }: Table, index: number): number {
  const { name, unit = '' } = columns[index]!
  const cells = rows.map((row) => cellText(row[index]))
  return Math.max(...[name, unit, ...cells].map(displayWidth))
}

function pick({ columns, rows }: Table, indexes: readonly number[]): Table {
  return {
    columns: indexes.map((index) => columns[index]!),
    rows: rows.map((row) => indexes.map((index) => row[index])),
  }
}

function wrap(text: string, width: number): string[] {
  const wrapped: string[] = []
  for (const word of text.split(/\s+/)) {
    const line = wrapped.at(-1)
    const longer = `${line} ${word}`
    if (line === undefined || displayWidth(longer) > width) wrapped.push(word)
    else wrapped[wrapped.length - 1] = longer
  }
  return wrapped
}
