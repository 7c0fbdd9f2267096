import { describe, expect, it } from 'vitest'
import { plannedUs } from './plan.ts'

describe('plan', () => {
  it('is the same for the same seed, and another for another', () => {
    const plan = (seed: number) => plannedUs({ schedule: 'poisson', rate: 1_000, seconds: 1, seed })
    expect(plan(7)).toEqual(plan(7))
    expect(plan(7)).not.toEqual(plan(8))
  })

  it('has the rate asked for, in order, and gaps as of many sources that know nothing of each other', () => {
    const plan = plannedUs({ schedule: 'poisson', rate: 10_000, seconds: 10, seed: 1 })
    expect(plan.length).toBeGreaterThan(98_500)
    expect(plan.length).toBeLessThan(101_500)
    const gaps = plan.slice(1).map((at, i) => at - plan[i]!)
    expect(Math.min(...gaps.subarray(0, 50_000))).toBeGreaterThanOrEqual(0)
    // Exponential: as many gaps above the mean as 1/e.
    const long = gaps.filter((gap) => gap > 100).length / gaps.length
    expect(long).toBeCloseTo(Math.exp(-1), 1)
    expect(plan.at(-1)).toBeLessThan(10_000_000)
  })

  it('is even when fixed', () => {
    const plan = plannedUs({ schedule: 'fixed', rate: 4, seconds: 1, seed: 1 })
    expect([...plan]).toEqual([0, 250_000, 500_000, 750_000])
  })
})
