import { describe, expect, it } from 'vitest'
import type { Result, Run } from '../result.ts'
import { compareResults } from './compare.ts'
import { conditionNames, settingNames } from './conditions.ts'
import { exampleResult } from './testing.ts'

const first = exampleResult()

/** The same figures, but for those of some runs. */
function changed(change: (run: Run) => Partial<Run>): Result {
  return { ...first, runs: first.runs.map((run) => ({ ...run, ...change(run) })) }
}

function sectionOf(second: Result, title: string, force = false) {
  const { sections } = compareResults(first, second, { force })
  return sections.find((section) => section.title === title)
}

const rowsOf = (second: Result, title: string) => sectionOf(second, title)?.tables?.[0]?.rows ?? []

describe('compareResults', () => {
  it('a result with itself - is equal everywhere, with ratios of 1', () => {
    const { sections } = compareResults(first, exampleResult(), { force: false })
    expect(sections.map(({ title }) => title)).toEqual([
      'live p50',
      'live p99',
      'receipt p50',
      'receipt p99',
      'receipts',
      'CPU',
    ])
    for (const { tables } of sections) {
      for (const [, before, after, ratio, verdict] of tables![0]!.rows) {
        expect([after, ratio]).toEqual([before, 1])
        expect(['equal', 'one run']).toContain(verdict)
      }
    }
  })

  it('a cell whose runs all became cheaper - is lower, the others equal', () => {
    const second = changed(({ cell, cost }) =>
      cell === 'skein'
        ? { cost: { ...cost, cpuSeconds: { skein: 0.5 * cost.cpuSeconds['skein']! } } }
        : {},
    )
    const rows = rowsOf(second, 'CPU')
    for (const [name, , , ratio, verdict] of rows) {
      const isSkein = String(name).startsWith('skein')
      expect(verdict).toBe(isSkein ? 'lower' : 'equal')
      expect(ratio).toBeCloseTo(isSkein ? 0.5 : 1, 9)
    }
    expect(sectionOf(second, 'CPU')!.finding).toMatch(/^Of \d+: 5 lower, \d+ equal\.$/)
  })

  it('runs that are void - count for nothing', () => {
    const second = changed(({ cell }) => (cell === 'nats' ? { voids: ['late'] } : {}))
    expect(rowsOf(second, 'live p50').some(([name]) => String(name).startsWith('nats,'))).toBe(
      false,
    )
    expect(rowsOf(second, 'Only in one')).toContainEqual(['nats, 1,000 samples/s', 'first'])
  })

  it('a single run on a side - is no verdict', () => {
    const second = { ...first, runs: first.runs.filter(({ block }) => block === 0) }
    const verdicts = new Set(rowsOf(second, 'live p50').map((row) => row[4]))
    expect(verdicts).toEqual(new Set(['one run']))
  })

  it('nothing in common - is said', () => {
    expect(sectionOf({ ...first, runs: [] }, 'Nothing to compare')).toBeDefined()
  })

  it('another scenario - is refused', () => {
    expect(() => compareResults(first, { ...first, scenario: 'fan' }, { force: true })).toThrow(
      expect.objectContaining({ code: 'BENCH_RESULT_INVALID' }),
    )
  })

  it.each([
    [{ host: 'bench-2' }, 'host bench-1 and bench-2'],
    [{ cpuModel: 'Xeon' }, 'processor AMD EPYC 9B14 and Xeon'],
    [{ cpus: 4 }, 'processors 2 and 4'],
    [{ kernel: '6.12.0' }, 'kernel 6.18.5 and 6.12.0'],
    [{ node: 'v26.0.0' }, 'Node.js v24 and v26'],
  ])('another machine, %j - is refused, or noted when forced', (machine, difference) => {
    const second = { ...first, machine: { ...first.machine, ...machine } }
    expect(() => compareResults(first, second, { force: false })).toThrow(
      expect.objectContaining({
        code: 'BENCH_MACHINES_DIFFER',
        message: expect.stringContaining(difference),
      }),
    )
    expect(sectionOf(second, 'Different machines', true)!.finding).toContain(difference)
  })

  it('another release of the same Node.js - is the same machine', () => {
    const second = { ...first, machine: { ...first.machine, node: 'v24.99.0' } }
    expect(() => compareResults(first, second, { force: false })).not.toThrow()
  })
})

describe('conditions', () => {
  const [run] = first.runs
  const { load, setting } = run!

  it('what runs of a cell differ in - is added to its name, and no more', () => {
    const many = [
      run!,
      { ...run!, load: { ...load, sources: 10_000 } },
      { ...run!, load: { ...load, sources: 10_000, rate: 5_000 } },
      { ...run!, cell: 'kafka', setting: { ...setting, system: 'kafka' as const } },
    ]
    expect(many.map(conditionNames(many))).toEqual([
      'skein, 100 sources, 1,000 samples/s',
      'skein, 10,000 sources, 1,000 samples/s',
      'skein, 10,000 sources, 5,000 samples/s',
      'kafka',
    ])
    expect(many.map(settingNames(many))).toEqual([
      'skein, 100 sources',
      'skein, 10,000 sources',
      'skein, 10,000 sources',
      'kafka',
    ])
  })

  it('another seed or block - is a repetition', () => {
    const again = { ...run!, block: 1, load: { ...load, seed: 9 } }
    expect([run!, again].map(conditionNames([run!, again]))).toEqual(['skein', 'skein'])
  })
})
