// IntervalSet against a plain Set of numbers, over a range small enough for runs to meet and merge.
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IntervalSet } from './intervals.ts'

const LAST = 60
const run = fc
  .tuple(fc.integer({ min: 1, max: LAST }), fc.integer({ min: 0, max: 8 }))
  .map(([from, more]) => [from, Math.min(LAST, from + more)] as const)
const runs = fc.array(run, { maxLength: 20 })

describe('IntervalSet', () => {
  it('holds what a Set holds, after each run added', () => {
    fc.assert(
      fc.property(runs, (runs) => {
        const set = new IntervalSet()
        const naive = new Set<number>()
        for (const [from, to] of runs) {
          set.add(from, to)
          for (let n = from; n <= to; n++) naive.add(n)
          expectSame(set, naive)
        }
      }),
    )
  })

  it('takes the same runs in any order to the same set', () => {
    fc.assert(
      fc.property(runs, (runs) => {
        expect(setOf(runs).equals(setOf(runs.toReversed()))).toBe(true)
      }),
    )
  })

  it('subtracts, intersects and joins as Sets do, and leaves its operands alone', () => {
    fc.assert(
      fc.property(runs, runs, (left, right) => {
        const [a, b] = [setOf(left), setOf(right)]
        const [naiveA, naiveB] = [naiveOf(left), naiveOf(right)]
        expectSame(a.minus(b), new Set([...naiveA].filter((n) => !naiveB.has(n))))
        expectSame(a.and(b), new Set([...naiveA].filter((n) => naiveB.has(n))))
        expectSame(a.or(b), new Set([...naiveA, ...naiveB]))
        expect(a.equals(b)).toBe(a.minus(b).isEmpty && b.minus(a).isEmpty)
        expectSame(a, naiveA)
        expectSame(b, naiveB)
      }),
    )
  })

  it('has as gaps what is missing from 1 to the last asked for', () => {
    fc.assert(
      fc.property(runs, fc.integer({ min: 0, max: LAST + 10 }), (runs, last) => {
        const naive = naiveOf(runs)
        const missing = Array.from({ length: last }, (_, i) => i + 1).filter((n) => !naive.has(n))
        expectSame(setOf(runs).gaps(last), new Set(missing))
      }),
    )
  })

  it('comes back from its runs', () => {
    fc.assert(
      fc.property(runs, (runs) => {
        const set = setOf(runs)
        expect(new IntervalSet(set.toRuns()).equals(set)).toBe(true)
      }),
    )
  })

  it('holds sequences up to 2^53 - 1', () => {
    const set = new IntervalSet([Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER])
    expect(set.has(Number.MAX_SAFE_INTEGER)).toBe(true)
    expect(set.gaps().toRuns()).toEqual([1, Number.MAX_SAFE_INTEGER - 2])
  })

  it.each([
    [0, 1],
    [2, 1],
    [1.5, 2],
    [1, 2 ** 53],
    [NaN, 1],
  ])('refuses the run %d..%d', (from, to) => {
    expect(() => new IntervalSet().add(from, to)).toThrow(RangeError)
  })
})

function setOf(runs: readonly (readonly [number, number])[]): IntervalSet {
  return new IntervalSet(runs.flat())
}

function naiveOf(runs: readonly (readonly [number, number])[]): Set<number> {
  return new Set(
    runs.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i)),
  )
}

function expectSame(set: IntervalSet, naive: ReadonlySet<number>): void {
  const sorted = [...naive].sort((a, b) => a - b)
  const held = [...set].flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i),
  )
  expect(held).toEqual(sorted)
  expect(set.size).toBe(sorted.length)
  expect(set.isEmpty).toBe(sorted.length === 0)
  expect(set.last).toBe(sorted.at(-1) ?? 0)
  // Runs neither overlap nor touch.
  const flat = set.toRuns()
  expect(set.runCount).toBe(flat.length / 2)
  for (let i = 2; i < flat.length; i += 2) expect(flat[i]!).toBeGreaterThan(flat[i - 1]! + 1)
  for (let n = 1; n <= LAST + 1; n++) {
    expect(set.has(n)).toBe(naive.has(n))
    const at = set.runAt(n)
    expect(at !== undefined && at[0] <= n && n <= at[1]).toBe(naive.has(n))
  }
}
