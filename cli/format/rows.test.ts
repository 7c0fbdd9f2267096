import { expect, test } from 'vitest'
import type { Row } from '../../storage/index.ts'
import { describeCoverage } from './coverage.ts'
import { rowTable } from './rows.ts'

test('end of a window - is a time like that of the row', () => {
  const fields = { speed_avg: 1.5, window_end_us: 1_767_225_610_000_000 }
  const row = { timeUs: 1_767_225_600_000_000, source: 'A', fields } as unknown as Row
  expect(rowTable([row])[1]).toBe(
    '2026-01-01T00:00:00.000Z  A             1.5  2026-01-01T00:00:10.000Z',
  )
})

test('rows of an answer - are counted exactly', () => {
  const coverage = { complete: true, reasons: [], members: 1, answered: 1, needed: 1, frames: 1 }
  const about = (rows: number): string[] =>
    describeCoverage({ ...coverage, lanes: 1, gaps: [] }, rows)
  expect(about(1781)).toEqual(['1781 rows from 1 of 1 store: complete'])
  expect(about(1)).toEqual(['1 row from 1 of 1 store: complete'])
})
