import { describe, expect, it } from 'vitest'
import { longestGapUs, outageFigures } from './outage-figures.ts'
import { arrivedAt, observedWith } from './testing.ts'

/** Killed at 3 s, started again at 5 s, answering at 6 s. */
const OUTAGE = { killedUs: 3e6, startedUs: 5e6, answeredUs: 6e6 }

/** A sample each 100 ms from 1 s to 8 s; receipts and deliveries by when it was due, ms. */
function outage(
  receiptMs: (dueMs: number) => number,
  arrivalMs: (dueMs: number) => number,
  readBackMs = arrivalMs,
) {
  const due = Array.from({ length: 70 }, (_, i) => 1_000 + i * 100)
  const samples = due.map((dueMs) => ({ dueMs, receiptMs: receiptMs(dueMs) }))
  const live = arrivedAt(due.map(arrivalMs))
  return outageFigures(observedWith(samples, [live], arrivedAt(due.map(readBackMs))), OUTAGE)
}

const soon = (dueMs: number): number => dueMs + 1
/** What is due while nobody answers comes 50 ms after the answer, the last of it 20 ms later. */
const waiting = (dueMs: number): number =>
  dueMs < 3_000 || dueMs >= 6_100 ? soon(dueMs) : dueMs < 5_900 ? 6_050 : 6_070

describe('an outage', () => {
  it('is measured to the first receipt and to the last one for what had waited', () => {
    const { extra } = outage(waiting, soon)
    expect(extra).toMatchObject({
      answerMs: 1_000,
      receiptAfterAnswerMs: 50,
      receiptAfterStartMs: 1_050,
      drainedAfterAnswerMs: 70,
      drainedAfterStartMs: 1_070,
    })
  })

  it('tells a receipt that came before the servers said that they are ready', () => {
    const { extra } = outage((dueMs) => (dueMs === 3_000 ? 5_900 : waiting(dueMs)), soon)
    expect(extra).toMatchObject({ receiptAfterAnswerMs: -100, receiptAfterStartMs: 900 })
  })

  it('has no time for what never came', () => {
    const { extra } = outage((dueMs) => (dueMs < 3_000 ? soon(dueMs) : 0), soon)
    expect(extra).not.toHaveProperty('receiptAfterAnswerMs')
    expect(extra).toMatchObject({ withoutReceipt: 50 })
  })

  it('does not stop what is delivered live without servers', () => {
    const { extra } = outage(waiting, soon)
    expect(extra).toMatchObject({ liveMeanwhile: 1, liveGapMs: 100 })
  })

  it('stops live where servers hand it on', () => {
    const { extra } = outage(waiting, waiting)
    expect(extra).toMatchObject({ liveMeanwhile: 0, liveGapMs: 6_050 - 2_901 })
  })

  it('counts what was lost, and what came twice', () => {
    const due = [1_000, 2_000, 3_000, 4_000]
    const samples = due.map((dueMs, i) => ({ dueMs, receiptMs: i === 3 ? 0 : dueMs + 1 }))
    const live = arrivedAt([1_001, 2_001, 0, 0], { duplicates: 2 })
    const readBack = arrivedAt([9_000, 0, 9_000, 9_000], { duplicates: 1 })
    expect(outageFigures(observedWith(samples, [live], readBack), OUTAGE).extra).toMatchObject({
      withoutReceipt: 1,
      lostAfterReceipt: 1,
      storedTwice: 1,
      notDelivered: 2,
      deliveredTwice: 2,
    })
  })

  it('is drawn from 2 s before the kill, in steps of 100 ms', () => {
    const { steps } = outage(waiting, soon)
    const { fromSeconds, stepSeconds, counts } = steps!['receipts']!
    expect({ fromSeconds, stepSeconds }).toEqual({ fromSeconds: -2, stepSeconds: 0.1 })
    // From 1 s on, one each; nothing while nobody answers; then 30 at once.
    expect(counts.slice(0, 20)).toEqual(Array(20).fill(1))
    expect(counts.slice(20, 50)).toEqual(Array(30).fill(0))
    expect(counts[50]).toBe(31)
  })
})

describe('the longest gap', () => {
  it('is one that ends after the kill', () => {
    const times = Float64Array.of(0, 500, 600, 620, 700)
    expect(longestGapUs(times, 500)).toBe(100)
    expect(longestGapUs(times, 400)).toBe(500)
  })

  it('is none between fewer than two', () => {
    expect(longestGapUs(Float64Array.of(5), 0)).toBe(0)
  })
})
