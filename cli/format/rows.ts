// Rows of a query as a table: time, source, then a column per field; numbers stand at the right.
import type { Value } from '../../mesh/index.ts'
import type { BucketRow, Row } from '../../storage/index.ts'
import { table, type Column } from './table.ts'
import { timeUs } from './units.ts'

/** Of the aggregator's windows: a time like that of the row. */
const WINDOW_END = 'window_end_us'

type Cells = Readonly<Record<string, Value | undefined>>

/** A line that is too long for the terminal wraps: an answer is never cut. */
export function rowTable(rows: readonly (Row | BucketRow)[]): string[] {
  if (rows.length === 0) return []
  const all = rows.map(cellsOf)
  const names = new Set(['time', ...(rows[0]!.source === undefined ? [] : ['source'])])
  for (const cells of all) for (const name in cells) names.add(name)
  const shown = [...names].map((name): Column<Cells> => {
    const isNumeric = all.every((cells) => ['number', 'undefined'].includes(typeof cells[name]))
    return {
      title: name,
      value: (cells) => text(cells[name]),
      align: isNumeric ? 'right' : 'left',
    }
  })
  return table(all, shown)
}

function cellsOf(row: Row | BucketRow): Cells {
  const cells: Record<string, Value | undefined> = { time: timeUs(row.timeUs) }
  if (row.source !== undefined) cells['source'] = row.source
  for (const [name, value] of Object.entries(row.fields)) {
    if (name === WINDOW_END && typeof value === 'number') cells[name] = timeUs(value)
    else if (typeof value !== 'object') cells[name] = value
    else
      for (const [aggregate, of] of Object.entries(value) as [string, Value | undefined][]) {
        cells[`${name} ${aggregate}`] = of
      }
  }
  return cells
}

/** Numbers to six digits behind the point at most: a table is for the eye. */
function text(value: Value | undefined): string {
  if (value === undefined) return ''
  if (typeof value !== 'number' || Number.isInteger(value)) return String(value)
  return String(Number(value.toFixed(6)))
}
