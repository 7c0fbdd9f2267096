// The longest of the scenarios, as bench.e2e.test.ts runs the others.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { ALONE, bench, BENCH_LIMIT_MS, faults } from './testing.ts'

const out = mkdtempSync(join(tmpdir(), 'skein-bench-results-'))
afterAll(() => rmSync(out, { recursive: true }))

it(
  'bus-experiments - each has its section, and none of its runs a fault',
  async () => {
    const { runs, report } = await bench(out, 'bus-experiments', ...ALONE, '--rate', '200')
    expect(faults(runs)).toEqual([])
    expect(report.sections.length).toBeGreaterThanOrEqual(7)
  },
  BENCH_LIMIT_MS,
)
