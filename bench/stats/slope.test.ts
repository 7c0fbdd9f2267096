import { expect, it } from 'vitest'
import { slopeOf } from './slope.ts'

it('finds the exponent of a power law', () => {
  const points = [10, 100, 1_000].map((size) => [size, 3 * size ** 0.5] as const)
  expect(slopeOf(points)).toBeCloseTo(0.5, 10)
  expect(slopeOf([1, 10, 100].map((size) => [size, 7] as const))).toBeCloseTo(0, 10)
})

it('finds none where there is one size', () => {
  expect(
    slopeOf([
      [10, 1],
      [10, 2],
    ]),
  ).toBeUndefined()
  expect(slopeOf([])).toBeUndefined()
})
