// Rows of anything as aligned columns.
import { plain, type Paint } from './paint.ts'
import { displayWidth, fit, pad } from './width.ts'

export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => string
  /** Numbers stand at the right. Default left. */
  readonly align?: 'left' | 'right'
  /** Longer cells are cut with `…`. */
  readonly widthMax?: number
  /** So that what is drawn again and again does not jump with its numbers. */
  readonly widthMin?: number
}

export interface TableOptions {
  /** For the titles. Cells bring their own colours. */
  readonly paint?: Paint
  /** Columns of the terminal: longer lines are cut. Absent for pipes, which get everything. */
  readonly columns?: number
}

const GAP = '  '

/** A column that shows a field under its own name; numbers stand at the right. */
export type FieldColumn<Row> = keyof Row & string

/** The lines: titles, then one per row; no trailing spaces, so that output can be pasted and compared. */
export function table<Row>(
  rows: readonly Row[],
  shown: readonly (Column<Row> | FieldColumn<Row>)[],
  options: TableOptions = {},
): string[] {
  const { paint = plain } = options
  const columns = shown.map((column) =>
    typeof column === 'string' ? fieldColumn(column, rows) : column,
  )
  const cells = rows.map((row) => columns.map((column) => cellOf(column, row)))
  const widths = columns.map(({ title, widthMin = 0 }, index) => {
    let width = Math.max(displayWidth(title), widthMin)
    // Not a spread: an answer may have more rows than a call may have arguments.
    for (const row of cells) width = Math.max(width, displayWidth(row[index]!))
    return width
  })
  const line = (row: readonly string[]): string => {
    const padded = row.map((cell, index) => pad(cell, widths[index]!, columns[index]!.align))
    const text = padded.join(GAP).trimEnd()
    return options.columns === undefined ? text : fit(text, options.columns)
  }
  return [paint('bold', line(columns.map(({ title }) => title))), ...cells.map(line)]
}

function fieldColumn<Row>(field: FieldColumn<Row>, rows: readonly Row[]): Column<Row> {
  const isNumeric = rows.length > 0 && rows.every((row) => typeof row[field] === 'number')
  const value = (row: Row): string => String(row[field] ?? '')
  return { title: field, value, align: isNumeric ? 'right' : 'left' }
}

/** One line per cell: a tab or a line break in a value would break the columns. */
function cellOf<Row>({ value, widthMax }: Column<Row>, row: Row): string {
  const text = value(row).replaceAll(/[\t\r\n]+/g, ' ')
  return widthMax === undefined ? text : fit(text, widthMax)
}
