import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { askAtTimes, quantile } from './at-times.ts'

test('a question that was due while another was unanswered has waited', async () => {
  let asked = 0
  const tookUs = await askAtTimes(3, 10, async () => {
    asked += 1
    if (asked === 1) await delay(60)
  })
  expect(tookUs).toHaveLength(3)
  // The second was due after 10 ms, the third after 20.
  expect(tookUs[1]).toBeGreaterThan(40_000)
  expect(tookUs[2]).toBeGreaterThan(30_000)
  expect(tookUs[2]).toBeLessThan(tookUs[1]!)
})

test('quantiles are values that there were', () => {
  expect(quantile([5, 1, 4, 2, 3], 0.5)).toBe(3)
  expect(quantile([5, 1, 4, 2, 3], 0.99)).toBe(5)
  expect(quantile([], 0.5)).toBeNaN()
})
