import { describe, expect, test } from 'vitest'
import type { Options } from '../options.ts'
import { busExperiments } from './bus-experiments.ts'
import { busRun } from './bus/testing.ts'
import type { Context } from './scenario.ts'
import type { Cell } from '../run/run.ts'
import type { Run } from '../result.ts'

const OPTIONS = { quick: true, compress: false, seed: 1 } as Options

/** Runs every cell in no time; of some nothing counts. */
async function measured(options: Partial<Options>, isVoid: (cell: Cell) => boolean = () => false) {
  const runs: Run[] = []
  const runner = {
    runs,
    notes: [] as string[],
    async blocks(
      groups: readonly (readonly Cell[])[],
      count: number,
      skip: (cell: Cell) => boolean,
    ) {
      for (let block = 0; block < count; block++) {
        for (const cell of groups.flat()) {
          if (skip(cell)) continue
          const { name, setting, load } = cell
          const voids = isVoid(cell) ? ['the generator was late'] : []
          const { system } = setting as { system: 'skein' | 'kafka' }
          runs.push({ ...busRun({ system, setting, load, voids, block }), cell: name })
        }
      }
    },
    async keepOnly() {},
    async rehearse() {},
  }
  const context = {
    options: { ...OPTIONS, ...options },
    runner,
    systems: ['skein', 'kafka', 'nats'],
  } as unknown as Context
  await busExperiments.measure(context)
  return { runs, notes: runner.notes, report: busExperiments.report(context) }
}

describe('bus-experiments', () => {
  test('each experiment has a section with a finding, a table and a plot, and theirs is last', async () => {
    const { report, runs } = await measured({ blocks: 3 })
    expect(report.sections).toHaveLength(8)
    for (const { finding, tables, plots } of report.sections.slice(0, -1)) {
      expect(finding).not.toMatch(/undefined|NaN/)
      expect(tables!.length).toBeGreaterThan(0)
      expect(plots!.length).toBeGreaterThan(0)
    }
    expect(report.sections.at(-1)!.finding).toContain('not compared')
    expect(runs.every(({ load }) => load.readings === 'bus')).toBe(true)
    expect(new Set(runs.map(({ setting }) => setting.system))).toEqual(new Set(['skein', 'kafka']))
  })

  test('with rates nothing is measured flat out', async () => {
    const { runs } = await measured({ rates: [500] })
    expect(new Set(runs.map(({ load }) => load.rate))).toEqual(new Set([500]))
  })

  test('Kafka has as many copies and brokers as Skein has copies and peers', async () => {
    const { runs } = await measured({ rates: [500] })
    const serversOf = (system: string): string[] =>
      runs
        .filter(({ setting, cell }) => setting.system === system && !cell.includes('again'))
        .map(({ setting: { copies, stores } }) => `${copies} copies, ${stores ?? copies} servers`)
    expect(new Set(serversOf('kafka'))).toEqual(new Set(serversOf('skein')))
    expect(serversOf('kafka')).toContain('3 copies, 3 servers')
    expect(serversOf('kafka')).toContain('1 copies, 5 servers')
  })

  test('a system without the tier takes no part, and that is noted', async () => {
    const { runs, notes } = await measured({ rates: [500], tiers: ['received'] })
    expect(runs.every(({ setting }) => setting.system === 'skein')).toBe(true)
    expect(notes.join()).toMatch(/without kafka.*received/)
  })

  test('a report of void runs has no figures, and says why', async () => {
    const { report } = await measured({}, () => true)
    for (const { finding } of report.sections.slice(0, -1)) {
      expect(finding).toContain('the generator was late')
      expect(finding).not.toMatch(/times the|undefined|NaN/)
    }
  })

  test('a report of what was measured before an interrupt has the sections that there are', () => {
    const runs = [{ ...busRun({}), cell: 'encoding: skein, JSON' }]
    const context = { options: OPTIONS, runner: { runs }, systems: ['skein'] } as unknown as Context
    const { sections } = busExperiments.report(context)
    expect(sections.map(({ title }) => title)).toEqual([
      'JSON against Protobuf',
      'What they measured',
    ])
  })
})
