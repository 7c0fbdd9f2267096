import { describe, expect, it } from 'vitest'
import type { Run } from '../result.ts'
import { fanReport } from './fan-report.ts'
import type { LateFigures } from './late-figures.ts'
import { lateReport } from './late-report.ts'
import type { OutageFigures } from './outage-figures.ts'
import { outageReport } from './outage-report.ts'
import { madeRun } from './testing.ts'

const KAFKA = {
  cell: 'kafka latency',
  setting: { system: 'kafka', tier: 'synced', tuning: 'latency', compress: false, copies: 1 },
} as const

const blocks = (make: (block: number) => Run): Run[] => [0, 1, 2].map(make)
/** No two blocks are the same. */
const about = (value: number, block: number): number => value * (1 + block / 100)

function distribution(p50: number) {
  return { count: 1, mean: p50, p50, p90: p50, p99: p50, p999: p50, max: p50, hdr: '' }
}

describe('the report of an outage', () => {
  const extra = (changes: Partial<OutageFigures>): OutageFigures => ({
    answerMs: 700,
    receiptAfterAnswerMs: 150,
    receiptAfterStartMs: 850,
    drainedAfterAnswerMs: 400,
    drainedAfterStartMs: 1_100,
    liveGapMs: 12,
    liveMeanwhile: 1,
    withoutReceipt: 0,
    notDelivered: 0,
    deliveredTwice: 0,
    lostAfterReceipt: 0,
    storedTwice: 0,
    ...changes,
  })
  const runs = (kafka: Partial<OutageFigures>): Run[] => [
    ...blocks((block) =>
      madeRun({ block, extra: extra({ drainedAfterStartMs: about(1_100, block) }) }),
    ),
    ...blocks((block) =>
      madeRun({
        ...KAFKA,
        block,
        extra: extra({ drainedAfterStartMs: about(5_500, block), liveMeanwhile: 0, ...kafka }),
      }),
    ),
  ]

  it('says first that nothing was lost', () => {
    const [losses, recovery, live] = outageReport('?', runs({})).sections
    expect(losses!.finding).toMatch(/^Nothing was lost and nothing came twice, of 30,000 samples/)
    expect(recovery!.finding).toContain('skein latency is 5 times faster than kafka latency (5–5).')
    expect(recovery!.finding).toContain('The goal of 200 ms is met by skein latency: 150 ms')
    expect(live!.finding).toContain('skein latency delivered 100 %')
    expect(live!.finding).toContain('kafka latency delivered 0 %')
  })

  it('says first what was lost', () => {
    const [losses] = outageReport('?', runs({ lostAfterReceipt: 4, storedTwice: 1 })).sections
    expect(losses!.finding).toMatch(
      /^Of 15,000 samples of kafka latency 12 were lost after their receipt and 3 were stored twice\./,
    )
  })

  it('says that it has nothing to say', () => {
    expect(outageReport('?', []).sections).toHaveLength(1)
    const voided = runs({}).map((run) => ({ ...run, voids: ['late'] }))
    expect(outageReport('?', voided).sections[0]!.finding).toMatch(/^No run counts\. Of 6 runs 6/)
  })
})

describe('the report of a late joiner', () => {
  const extra = (lastMs: number): LateFigures => ({
    history: 20_000,
    waiting: 0,
    firstMs: 50,
    lastMs,
    historyPerSecond: 2e7 / lastMs,
    seamMs: 80,
    readerCpuSeconds: 0.4,
  })
  const runs = [
    ...blocks((block) => madeRun({ block, extra: extra(about(500, block)) })),
    ...blocks((block) => madeRun({ ...KAFKA, block, extra: extra(about(250, block)) })),
  ]

  it('says who is faster, when it is not us too', () => {
    const [reading] = lateReport('?', runs).sections
    expect(reading!.finding).toContain('skein latency is 2 times slower than kafka latency (2–2).')
    expect(reading!.finding).toContain('nothing came twice where history and live meet')
  })

  it('says when there was still something to store', () => {
    const behind = runs.map((run) => ({ ...run, extra: { ...run.extra, waiting: 9_000 } }))
    expect(lateReport('?', behind).sections[0]!.finding).toContain(
      'but of its history 9,000 samples had no receipt yet when it was asked for',
    )
  })
})

describe('the report of fan-in and fan-out', () => {
  const cpu = (publisher: number, server: number) => ({
    ...madeRun({}).cost,
    cpuSeconds: { 'publisher-1': publisher, broker: server, 'subscriber-1': 1 },
  })
  const runs = [1, 8].flatMap((subscribers) => [
    ...blocks((block) =>
      madeRun({
        block,
        load: { subscribers },
        live: distribution(about(100, block)),
        cost: cpu(1 + subscribers / 8, 1),
      }),
    ),
    ...blocks((block) =>
      madeRun({
        ...KAFKA,
        block,
        load: { subscribers },
        live: distribution(about(400, block)),
        cost: cpu(1, subscribers),
      }),
    ),
  ])

  it('compares by shape, and says who pays for more subscribers', () => {
    const [latency, effort] = fanReport('?', runs).sections
    expect(latency!.finding).toContain('1 → 8: skein latency is live 4 times faster than kafka')
    // 4,000 samples in the window.
    expect(effort!.finding).toContain(
      'add, for a million samples, 219 s to the publisher of skein latency and 0 s to its servers',
    )
    expect(effort!.finding).toContain(
      '0 s to the publisher of kafka latency and 1,750 s to its servers',
    )
  })

  it('tells the most that is sustained, and what it was that was too much', () => {
    const beyond = blocks((block) =>
      madeRun({
        ...KAFKA,
        block,
        load: { rate: 2_000 },
        counts: { ...madeRun({}).counts, lost: 9 },
        voids: ['9 samples lost'],
      }),
    )
    const most = fanReport('?', [...runs, ...beyond]).sections[2]!
    expect(most.finding).toContain('1 → 1: skein latency at least 1,000 and kafka latency 1,000.')
    expect(most.tables![0]!.rows[1]).toEqual([
      '1 → 1',
      'kafka latency',
      1_000,
      1_000,
      '2,000: 9 samples lost',
    ])
  })

  it('says that nothing was measured', () => {
    expect(fanReport('?', []).sections[0]!.finding).toBe('Nothing was measured.')
  })
})
