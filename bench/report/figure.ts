// Numbers as the bench shows them everywhere: three figures, and all digits before the point, so that a
// column of them compares at a glance. Cells of a table may also be names, or nothing.
import type { Cell, Table } from './report.ts'

const format = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 })

const DASH = '–'

/** `1,330,000`, `38.2`, `0.94`; a dash for what is no number. */
export function figure(value: number | undefined): string {
  return Number.isFinite(value) ? format.format(value!) : DASH
}

/** In a result file undefined has become null: whatever is neither text nor a number is a dash. */
export function cellText(cell: Cell): string {
  return typeof cell === 'string' ? cell : figure(cell)
}

/** `live p99, µs`. */
export function withUnit({ label, unit }: { label: string; unit?: string }): string {
  return unit === undefined ? label : `${label}, ${unit}`
}

/** Whether a column holds figures, which stand at the right; others are names, at the left. */
export function isFigures({ columns, rows }: Table, index: number): boolean {
  return columns[index]!.unit !== undefined || rows.every((row) => typeof row[index] !== 'string')
}
