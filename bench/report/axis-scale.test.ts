import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { axisScale, placeOf } from './axis-scale.ts'
import { roomyTicks } from './drawing.ts'

const labels = (kind: 'linear' | 'log' | 'tail', least: number, most: number): string[][] =>
  axisScale(kind, least, most).tickSets.map((set) => set.map(({ label }) => label))

describe('tail', () => {
  it('each nine - is as far from the last as 90 from 0', () => {
    const places = [0, 90, 99, 99.9, 99.99].map((value) => placeOf('tail', value))
    places.forEach((place, nines) => expect(place).toBeCloseTo(nines, 9))
  })

  it('100 - has no place', () => {
    expect(placeOf('tail', 100)).toBeUndefined()
  })

  it('ticks - are the nines, and the median where it has room', () => {
    const [many, fewer] = labels('tail', 0, placeOf('tail', 99.99)!)
    expect(many).toEqual(['0', '50', '90', '99', '99.9', '99.99'])
    expect(fewer).toEqual(['0', '90', '99', '99.9', '99.99'])
  })
})

describe('log', () => {
  it.each([0, -1, undefined, Number.NaN])('%s - has no place', (value) => {
    expect(placeOf('log', value)).toBeUndefined()
  })

  it('ticks - are 1, 2, 5 in each decade, then decades only', () => {
    const [, some, few] = labels('log', Math.log10(100), Math.log10(2_000))
    expect(some).toEqual(['100', '200', '500', '1,000', '2,000'])
    expect(few).toEqual(['100', '1,000'])
  })
})

describe('linear', () => {
  it('ticks - are round, and free of what sums of fractions leave', () => {
    expect(labels('linear', 0, 0.3)[0]).toEqual(['0', '0.05', '0.1', '0.15', '0.2', '0.25', '0.3'])
  })

  it('a single value - has an axis', () => {
    expect(axisScale('linear', 0, 0).ends).toEqual([0, 1])
    expect(axisScale('linear', 7, 7).ends).toEqual([0, 7])
  })
})

describe('any axis', () => {
  const data = fc
    .tuple(
      fc.constantFrom('linear' as const, 'log' as const, 'tail' as const),
      fc.double({ min: 1e-6, max: 99.999, noNaN: true }),
      fc.double({ min: 1e-6, max: 99.999, noNaN: true }),
    )
    .map(([kind, a, b]) => ({
      kind,
      least: placeOf(kind, Math.min(a, b))!,
      most: placeOf(kind, Math.max(a, b))!,
    }))

  it('ends - hold the data and all ticks', () => {
    fc.assert(
      fc.property(data, ({ kind, least, most }) => {
        const { ends, tickSets } = axisScale(kind, least, most)
        expect(ends[0]).toBeLessThan(ends[1])
        for (const place of [least, most, ...tickSets.flat().map((tick) => tick.place)]) {
          expect(place).toBeGreaterThanOrEqual(ends[0] - 1e-6)
          expect(place).toBeLessThanOrEqual(ends[1] + 1e-6)
        }
      }),
    )
  })

  it('labels that are drawn - keep apart', () => {
    fc.assert(
      fc.property(data, fc.integer({ min: 250, max: 900 }), ({ kind, least, most }, length) => {
        const scale = axisScale(kind, least, most)
        const size = (label: string): number => label.length * 8
        const ticks = roomyTicks(scale, length, size)
        const [low, high] = scale.ends
        const at = ticks.map(({ place }) => ((place - low) / (high - low)) * length)
        expect(ticks.length).toBeGreaterThan(1)
        ticks.slice(1).forEach(({ label }, index) => {
          const room = (size(label) + size(ticks[index]!.label)) / 2
          expect(at[index + 1]! - at[index]!).toBeGreaterThanOrEqual(room - 1e-6)
        })
      }),
    )
  })
})
