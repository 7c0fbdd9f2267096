import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { addExactly, roundedSum, type ExactSum } from './exact-sum.ts'

function sumOf(terms: readonly number[]): number {
  const sum: ExactSum = []
  for (const term of terms) addExactly(sum, term)
  return roundedSum(sum)
}

test('what plain addition loses is kept', () => {
  expect(sumOf([1e16, 1, 1, -1e16])).toBe(2)
  expect(sumOf(Array.from({ length: 10 }, () => 0.1))).toBe(1)
  expect(sumOf([1, 2 ** -53, 2 ** -106])).toBe(1 + 2 ** -52)
  expect(sumOf([])).toBe(0)
})

test('infinities and NaN are carried along', () => {
  expect(sumOf([1, Number.POSITIVE_INFINITY, 1])).toBe(Number.POSITIVE_INFINITY)
  expect(sumOf([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])).toBeNaN()
  expect(sumOf([Number.NaN, 1])).toBeNaN()
})

test('any order and any grouping give the same bits', () => {
  const term = fc.double({ min: -1e290, max: 1e290, noNaN: true })
  fc.assert(
    fc.property(fc.array(term), fc.nat(), (terms, cut) => {
      const at = cut % (terms.length + 1)
      const left: ExactSum = []
      const right: ExactSum = []
      for (const one of terms.slice(at)) addExactly(right, one)
      for (const one of terms.slice(0, at).reverse()) addExactly(left, one)
      for (const part of right) addExactly(left, part)
      expect(roundedSum(left)).toBe(sumOf(terms))
      expect(sumOf(terms.toReversed())).toBe(sumOf(terms))
    }),
  )
})
