// Every scenario for a second or so, with real servers where they are installed: it works, its invariants
// hold, and it leaves what it says. Never how fast: this machine has other things to do.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { isInstalled } from '../systems/index.ts'
import { readResult } from './report/files.ts'
import type { Result, Run } from './result.ts'

const LIMIT_MS = 120_000
const out = mkdtempSync(join(tmpdir(), 'skein-bench-results-'))
afterAll(() => rmSync(out, { recursive: true }))

async function bench(...words: string[]): Promise<Result> {
  const program = join(import.meta.dirname, 'bench.ts')
  const { stderr } = await promisify(execFile)(process.execPath, [program, ...words, '--out', out])
  const [json, html] = stderr.trim().split('\n').slice(-2)
  expect(readFileSync(html!, 'utf8')).toContain('</html>')
  return readResult(json!)
}

/** What is wrong with runs for reasons other than how busy this machine is. */
function faults(runs: readonly Run[]): string[] {
  return runs.flatMap(({ cell, voids }) =>
    voids.filter((why) => !BUSY.test(why)).map((why) => `${cell}: ${why}`),
  )
}

const BUSY = /^the generator was late|of the machine was given to others$/
const SHORT = ['--quick', '--blocks', '1', '--seconds', '0.5']
const ALONE = [...SHORT, '--against', 'none']
const BROKERS = (['kafka', 'nats'] as const).filter((name) => isInstalled(name))

describe.sequential('each scenario', { timeout: LIMIT_MS }, () => {
  it('latency, beside real brokers', async () => {
    const against = ['zeromq-raw', ...BROKERS].join()
    const result = await bench('latency', ...SHORT, '--rate', '200', '--against', against)
    expect(result.isComplete).toBe(true)
    expect(faults(result.runs)).toEqual([])
    const systems = new Set(result.runs.map(({ setting }) => setting.system))
    expect(systems).toEqual(new Set(['skein', 'zeromq-raw', ...BROKERS]))
    for (const { counts, live, setting, receipt } of result.runs) {
      expect(counts.delivered).toBe(counts.published)
      expect(live!.count).toBeGreaterThan(50)
      if (setting.system !== 'zeromq-raw') expect(receipt!.count).toBe(live!.count)
    }
  })

  it('throughput', async () => {
    const { runs } = await bench('throughput', ...ALONE, '--samples-per-frame', '100')
    expect(faults(runs)).toEqual([])
    for (const { counts } of runs) {
      expect(counts.published).toBeGreaterThan(0)
      expect(counts.receipts).toBe(counts.published)
    }
  })

  it('fan', async () => {
    const { runs } = await bench('fan', ...ALONE, '--rate', '200')
    expect(faults(runs)).toEqual([])
    for (const { counts, load } of runs) {
      expect(counts.delivered).toBe(counts.published * load.subscribers)
    }
  })

  it('outage', async () => {
    const { runs } = await bench('outage', ...ALONE, '--rate', '200')
    expect(faults(runs)).toEqual([])
    expect(runs[0]!.counts.lost).toBe(0)
    expect(runs[0]!.counts.duplicates).toBe(0)
  })

  it('late', async () => {
    const { runs } = await bench('late', ...ALONE, '--rate', '200')
    expect(faults(runs)).toEqual([])
    expect(runs[0]!.counts.lost).toBe(0)
    expect(runs[0]!.counts.duplicates).toBe(0)
  })

  it('cost', async () => {
    const { runs } = await bench('cost', ...ALONE, '--rate', '2000', '--samples-per-frame', '1')
    expect(faults(runs)).toEqual([])
    for (const { cost } of runs) {
      expect(Object.keys(cost.cpuSeconds)).toEqual(
        expect.arrayContaining(['storage-1', 'publisher-1', 'subscriber-1']),
      )
      expect(cost.sentBytes).toBeGreaterThan(0)
      expect(cost.writtenBytes).toBeGreaterThan(0)
    }
  })

  it('scale', async () => {
    const { runs } = await bench('scale', ...ALONE, '--rate', '500')
    expect(faults(runs)).toEqual([])
    expect(new Set(runs.map(({ load }) => load.sources))).toEqual(new Set([10, 1_000, 10_000]))
    expect(new Set(runs.map(({ setting }) => setting.stores ?? 1))).toEqual(new Set([1, 3]))
  })
})
