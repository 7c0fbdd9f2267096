import { describe, expect, it } from 'vitest'
import { noiseFloor, pairedRatio, verdict } from './ratio.ts'

describe('paired ratio', () => {
  it('takes out what both suffered: a busy block is busy for both', () => {
    const b = [100, 400, 100, 250, 100]
    const a = b.map((value, i) => value * 0.5 * (1 + (i % 2) * 0.02))
    const { ratio, low, high } = pairedRatio(a, b)!
    expect(ratio).toBeCloseTo(0.504, 2)
    expect(low).toBeGreaterThan(0.49)
    expect(high).toBeLessThan(0.52)
  })

  it('says the same the other way round', () => {
    const [a, b] = [
      [10, 12, 14, 9],
      [20, 25, 24, 19],
    ]
    expect(pairedRatio(a, b)!.ratio * pairedRatio(b, a)!.ratio).toBeCloseTo(1, 10)
  })

  it('knows nothing of an interval from two blocks', () => {
    expect(pairedRatio([1, 1], [2, 2])).toEqual({ ratio: 0.5, low: 0, high: Infinity, blocks: 2 })
    expect(pairedRatio([], [])).toBeUndefined()
  })
})

describe('verdict', () => {
  const ratio = (value: number, low: number, high: number) => ({
    ratio: value,
    low,
    high,
    blocks: 9,
  })

  it('calls a difference inside the noise floor equal, however sure it is', () => {
    expect(verdict(ratio(0.95, 0.94, 0.96), 1.1)).toBe('equal')
    expect(verdict(ratio(0.8, 0.78, 0.82), 1.1)).toBe('faster')
    expect(verdict(ratio(1.3, 1.2, 1.4), 1.1)).toBe('slower')
  })

  it('calls equal what the interval does not tell apart', () => {
    expect(verdict(ratio(0.5, 0.2, 1.2), 1)).toBe('equal')
  })

  it('takes the floor from a system beside itself, whichever way it errs', () => {
    expect(noiseFloor(ratio(1.02, 0.9, 1.05))).toBeCloseTo(1.111, 3)
    expect(noiseFloor(ratio(0.97, 0.95, 1.3))).toBeCloseTo(1.3, 3)
    expect(noiseFloor(undefined)).toBe(1)
  })
})
