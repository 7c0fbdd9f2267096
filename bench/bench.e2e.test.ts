// Every scenario for a second or so, with real servers where they are installed: it works, its invariants
// hold, and it leaves what it says. Never how fast: this machine has other things to do.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { isInstalled } from '../systems/index.ts'
import { readResult } from './report/files.ts'
import { ALONE, bench, BENCH_LIMIT_MS, BENCH_PROGRAM, faults, SHORT } from './testing.ts'

const out = mkdtempSync(join(tmpdir(), 'skein-bench-results-'))
afterAll(() => rmSync(out, { recursive: true }))

const BROKERS = (['kafka', 'nats'] as const).filter((name) => isInstalled(name))

/** Of the parts that end by themselves on a machine that is busy: the others offer a load for a while. */
const STORE_PARTS = 'ingest,trucks,restart'
const STORE_CELLS = ['ingest: skein, blocks', 'trucks: 100', 'restart: killed', 'restart: stopped']

describe.sequential('each scenario', { timeout: BENCH_LIMIT_MS }, () => {
  it('latency, beside real brokers', async () => {
    const against = ['zeromq-raw', ...BROKERS].join()
    const result = await bench(out, 'latency', ...SHORT, '--rate', '200', '--against', against)
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
    const { runs } = await bench(out, 'throughput', ...ALONE, '--samples-per-frame', '100')
    expect(faults(runs)).toEqual([])
    for (const { counts } of runs) {
      expect(counts.published).toBeGreaterThan(0)
      expect(counts.receipts).toBe(counts.published)
    }
  })

  it('fan', async () => {
    const { runs } = await bench(out, 'fan', ...ALONE, '--rate', '200')
    expect(faults(runs)).toEqual([])
    for (const { counts, load } of runs) {
      expect(counts.delivered).toBe(counts.published * load.subscribers)
    }
  })

  it('outage', async () => {
    const { runs } = await bench(out, 'outage', ...ALONE, '--rate', '200')
    expect(faults(runs)).toEqual([])
    expect(runs[0]!.counts.lost).toBe(0)
    expect(runs[0]!.counts.duplicates).toBe(0)
  })

  it('late', async () => {
    const { runs } = await bench(out, 'late', ...ALONE, '--rate', '200')
    expect(faults(runs)).toEqual([])
    expect(runs[0]!.counts.lost).toBe(0)
    expect(runs[0]!.counts.duplicates).toBe(0)
  })

  it('cost', async () => {
    const { runs } = await bench(
      out,
      'cost',
      ...ALONE,
      '--rate',
      '2000',
      '--samples-per-frame',
      '1',
    )
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
    const { runs } = await bench(out, 'scale', ...ALONE, '--rate', '500')
    expect(faults(runs)).toEqual([])
    expect(new Set(runs.map(({ load }) => load.sources))).toEqual(new Set([10, 1_000, 10_000]))
    expect(new Set(runs.map(({ setting }) => setting.stores ?? 1))).toEqual(new Set([1, 3]))
  })

  it('store, beside the real broker', async () => {
    const kafka = BROKERS.filter((name) => name === 'kafka')
    const against = [
      '--against',
      kafka.join() || 'none',
      '--payloads',
      'blocks',
      '--parts',
      STORE_PARTS,
    ]
    const words = [...SHORT, ...against, '--gigabytes', '0.05']
    const { runs, report } = await bench(out, 'store', ...words)
    expect(faults(runs)).toEqual([])
    const cells = new Set(runs.map(({ cell }) => cell))
    expect(cells).toEqual(
      new Set([...kafka.map((name) => `ingest: ${name}, blocks`), ...STORE_CELLS]),
    )
    for (const { cell, counts } of runs) {
      if (cell.startsWith('ingest: ')) expect(counts.receipts).toBeGreaterThan(0)
    }
    const [goals] = report.sections
    expect(goals!.tables![0]!.rows.length).toBeGreaterThanOrEqual(5)
  })
})

it(
  'without a system, and interrupted - runs the others, keeps what was measured, says both',
  async () => {
    const words = ['latency', ...SHORT, '--rate', '200,300,400', '--against', 'kafka', '--out', out]
    // No system is installed in an empty cache.
    const env = { ...process.env, XDG_CACHE_HOME: join(out, 'cache') }
    const child = spawn(process.execPath, [BENCH_PROGRAM, ...words], { env, stdio: 'pipe' })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (!said.includes('block 1') && (said + text).includes('block 1')) child.kill('SIGINT')
      said += text
    })
    const [code] = (await once(child, 'close')) as [number]
    expect(code).toBe(1)
    const { isComplete, notes, runs } = await readResult(/^\S+\.json$/m.exec(said)![0])
    expect(isComplete).toBe(false)
    expect(runs.length).toBeGreaterThan(0)
    expect(notes.join('\n')).toContain('without kafka: it is not installed: npm run systems')
    expect(notes.join('\n')).toContain('not complete: interrupted')
  },
  BENCH_LIMIT_MS,
)
