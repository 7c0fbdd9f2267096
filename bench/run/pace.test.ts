import { expect, test } from 'vitest'
import { pace } from './pace.ts'

/** When it wakes, on a clock that only sleeping and looking at it move. */
function wakesOf(dueUs: readonly number[], overshootUs: number): number[] {
  const wakes: number[] = []
  let us = 0
  pace({
    dueUs: Float64Array.from(dueUs),
    publishers: 1,
    nowUs: () => (us += 0.5),
    sleep: (asked) => void (us += asked + overshootUs),
    wake: () => wakes.push(us),
  })
  return wakes
}

const EVERY_500 = [1_000, 1_500, 2_000, 2_500]

test('a wake for each batch, when sleeps end as late as they do as a rule', () => {
  expect(wakesOf(EVERY_500, 90).slice(0, -1).map(Math.round)).toEqual(
    EVERY_500.map((us) => expect.closeTo(us, -1) as number),
  )
})

test('however early a sleep ends, a wake comes after the last batch is due', () => {
  for (const overshootUs of [0, 30, 90, 400]) {
    expect(wakesOf(EVERY_500, overshootUs).at(-1)).toBeGreaterThan(2_500)
  }
})

test('batches that are close together share a wake', () => {
  const dense = Array.from({ length: 1_000 }, (_, i) => 1_000 + i * 10)
  expect(wakesOf(dense, 90).length).toBeLessThan(60)
})

test('where batches are far apart it turns for the last moment, and is in time', () => {
  const sparse = [2_000, 4_000, 6_000]
  for (const [i, us] of wakesOf(sparse, 20).slice(0, -1).entries()) {
    expect(us - sparse[i]!).toBeGreaterThanOrEqual(0)
    expect(us - sparse[i]!).toBeLessThan(5)
  }
})
