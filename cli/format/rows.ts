// Rows of a query as a table: time, source, then a column per field.
import { formatTime, type BucketRow, type Row } from '../../storage/index.ts'
import { table } from './table.ts'

export function rowTable(rows: readonly (Row | BucketRow)[]): string[] {
  if (rows.length === 0) return []
  const cells = rows.map((row) => {
    const line: Record<string, string> = { time: formatTime(row.timeUs).replace(/000Z$/, 'Z') }
    if (row.source !== undefined) line['source'] = row.source
    for (const [name, value] of Object.entries(row.fields)) {
      if (typeof value !== 'object') line[name] = text(value)
      else
        for (const [aggregate, of] of Object.entries(value)) line[`${name} ${aggregate}`] = text(of)
    }
    return line
  })
  const columns = new Set(['time', ...(rows[0]!.source === undefined ? [] : ['source'])])
  for (const line of cells) for (const name in line) columns.add(name)
  return table(cells, [...columns])
}

/** Numbers to six significant digits behind the point at most: a table is for the eye. */
function text(value: unknown): string {
  if (typeof value !== 'number' || Number.isInteger(value)) return String(value)
  return String(Number(value.toFixed(6)))
}
