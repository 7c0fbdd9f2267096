import { describe, expect, it } from 'vitest'
import { lateFigures } from './late-figures.ts'
import { arrivedAt, observedWith } from './testing.ts'

const OPENED_MS = 1_000

/** Ten samples of history, each 100 ms, then five of live. */
const SAMPLES = Array.from({ length: 15 }, (_, i) => ({
  dueMs: i * 100 + 1,
  receiptMs: i * 100 + 5,
}))

function late(
  arrivalsMs: readonly number[],
  receiptsMs = SAMPLES.map(({ receiptMs }) => receiptMs),
) {
  const samples = SAMPLES.map(({ dueMs }, i) => ({ dueMs, receiptMs: receiptsMs[i]! }))
  const joined = arrivedAt(arrivalsMs, { openedUs: OPENED_MS * 1000, cpuSeconds: 0.25 })
  return lateFigures(observedWith(samples, [arrivedAt([]), joined]))
}

describe('a late joiner', () => {
  it('is measured from its opening to its first sample and to the last of history', () => {
    const history = SAMPLES.slice(0, 10).map((_, i) => 1_100 + i * 10)
    const { extra } = late([...history, 1_300, 1_301, 1_302, 1_303, 1_404])
    expect(extra).toEqual({
      history: 10,
      waiting: 0,
      firstMs: 100,
      lastMs: 190,
      historyPerSecond: 10 / 0.19,
      // Due at 1,001 ms.
      seamMs: 299,
      readerCpuSeconds: 0.25,
    })
  })

  it('has live samples before history where they come first', () => {
    const { extra } = late([...Array<number>(10).fill(2_000), 1_002, 1_102, 1_202, 1_302, 1_402])
    expect(extra).toMatchObject({ firstMs: 2, lastMs: 1_000, seamMs: 1 })
  })

  it('came to a system that was behind', () => {
    const receipts = SAMPLES.map(({ receiptMs }, i) => (i === 8 ? 1_200 : i === 9 ? 0 : receiptMs))
    expect(late(Array<number>(15).fill(1_500), receipts).extra).toMatchObject({ waiting: 2 })
  })

  it('that got nothing has no times', () => {
    const { extra } = late(Array<number>(15).fill(0))
    expect(extra).toEqual({ history: 10, waiting: 0, seamMs: 0, readerCpuSeconds: 0.25 })
  })

  it('is drawn in steps of 100 ms', () => {
    const { steps } = late([...Array<number>(10).fill(1_250), 1_250, 1_250, 1_250, 1_301, 1_402])
    expect(steps!['read']).toEqual({ fromSeconds: 0, stepSeconds: 0.1, counts: [0, 0, 13, 1, 1] })
  })
})
