import { describe, expect, it } from 'vitest'
import type { Load } from '../load.ts'
import { isSustained, voidsOf } from './verdict.ts'

type Judged = Parameters<typeof voidsOf>[0]

const LOAD: Load = {
  form: 'native',
  samplesPerFrame: 1,
  sources: 10,
  publishers: 1,
  subscribers: 1,
  rate: 1_000,
  schedule: 'poisson',
  warmupSeconds: 1,
  seconds: 4,
  seed: 1,
}

const KEEPS = { system: { persists: true } }

const latency = (p50: number, p99: number) => ({
  count: 4_000,
  mean: p50,
  p50,
  p90: p99,
  p99,
  p999: p99,
  max: p99,
  hdr: '',
})

function judged(changes: Partial<Judged> = {}): Judged {
  return {
    cell: 'skein latency',
    block: 0,
    setting: { system: 'skein', tier: 'synced', tuning: 'latency', compress: false, copies: 1 },
    load: LOAD,
    counts: { published: 5_000, receipts: 5_000, delivered: 5_000, duplicates: 0, lost: 0 },
    publishedPerSecond: 1_000,
    receiptsPerSecond: 1_000,
    deliveredPerSecond: 1_000,
    live: latency(300, 900),
    receipt: latency(900, 2_000),
    lag: latency(40, 400),
    cost: {
      seconds: 4,
      cpuSeconds: { 'storage-1': 1 },
      memoryBytes: {},
      writtenBytes: 1_000_000,
      fsyncs: 2_500,
      sentBytes: 1_000_000,
      sentMessages: 4_000,
      stealShare: 0,
    },
    ...changes,
  }
}

const cost = (changes: Partial<Judged['cost']>): Judged['cost'] => ({
  ...judged().cost,
  ...changes,
})

describe('a run counts', () => {
  it('when nothing is wrong with it', () => {
    expect(voidsOf(judged(), KEEPS, undefined)).toEqual([])
    expect(isSustained(judged())).toBe(true)
  })

  it('not when it lost something, and the client says why', () => {
    const counts = { ...judged().counts, lost: 3 }
    expect(voidsOf(judged({ counts }), KEEPS, 'the outbox was full')).toEqual([
      '3 samples lost (the outbox was full)',
    ])
  })

  it('not when a subscriber got something twice', () => {
    const counts = { ...judged().counts, duplicates: 1 }
    expect(voidsOf(judged({ counts }), KEEPS, undefined)).toEqual(['1 samples delivered twice'])
  })

  it('not when the generator did not carry out its plan', () => {
    expect(voidsOf(judged({ lag: latency(100, 9_000) }), KEEPS, undefined)).toEqual([
      'the generator was late: p99 9 ms behind its plan',
    ])
    const patient = { ...KEEPS, lagP99UsMax: 10_000 }
    expect(voidsOf(judged({ lag: latency(100, 9_000) }), patient, undefined)).toEqual([])
  })

  it("not when the machine was somebody else's", () => {
    expect(voidsOf(judged({ cost: cost({ stealShare: 0.2 }) }), KEEPS, undefined)).toHaveLength(1)
  })
})

describe('the tier', () => {
  it('is not synced when hardly anything was', () => {
    const run = judged({ receiptsPerSecond: 500_000, cost: cost({ fsyncs: 2 }) })
    expect(voidsOf(run, KEEPS, undefined)[0]).toContain('synced is not what it did: 2 fsyncs')
  })

  it('is not written when there is an fsync for each receipt', () => {
    const setting = { ...judged().setting, tier: 'written' } as const
    expect(voidsOf(judged({ setting }), KEEPS, undefined)[0]).toContain(
      'written is not what it did',
    )
    expect(voidsOf(judged({ setting, cost: cost({ fsyncs: 8 }) }), KEEPS, undefined)).toEqual([])
    const anyway = { system: { persists: true, syncsAnyway: true } }
    expect(voidsOf(judged({ setting }), anyway, undefined)).toEqual([])
  })

  it('is not judged where the kernel did not count, nor for what keeps nothing', () => {
    const { fsyncs: _, ...uncounted } = judged().cost
    expect(voidsOf(judged({ cost: uncounted }), KEEPS, undefined)).toEqual([])
    expect(
      voidsOf(judged({ cost: cost({ fsyncs: 0 }) }), { system: { persists: false } }, undefined),
    ).toEqual([])
  })
})

describe('a load is sustained', () => {
  it('not when receipts fall behind what is published', () => {
    expect(isSustained(judged({ receiptsPerSecond: 900 }))).toBe(false)
  })

  it('not when less is published than the plan says', () => {
    expect(isSustained(judged({ publishedPerSecond: 900, receiptsPerSecond: 900 }))).toBe(false)
  })

  it('not when a queue grows all along', () => {
    expect(isSustained(judged({ live: latency(1_500_000, 3_000_000) }))).toBe(false)
  })
})
