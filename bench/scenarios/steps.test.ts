import { describe, expect, it } from 'vitest'
import { isSaturated, sustained } from './steps.ts'
import { madeRun } from './testing.ts'

const at = (rate: number, isSustained: boolean, voids: string[] = []) =>
  madeRun({ load: { rate }, isSustained, voids })

describe('of rates in steps', () => {
  it('the most is the highest below the first that is too much', () => {
    const runs = [at(4_000, true), at(1_000, true), at(2_000, false)]
    expect(sustained(runs)).toEqual({ rate: 1_000, isMost: true })
  })

  it('a step counts by most of its runs, and a void run as too much', () => {
    const runs = [at(1_000, true), at(1_000, true), at(1_000, false)]
    expect(sustained(runs)).toEqual({ rate: 1_000, isMost: false })
    expect(isSaturated(runs)).toBe(false)
    expect(isSaturated([at(1_000, true, ['lost'])])).toBe(true)
  })

  it('more is not known where the generator was late', () => {
    const runs = [at(1_000, true), at(2_000, true, ['the generator was late'])]
    expect(sustained(runs)).toEqual({ rate: 1_000, isMost: false })
  })

  it('none is kept when the lowest is too much', () => {
    expect(sustained([at(1_000, false)])).toEqual({ rate: undefined, isMost: true })
  })
})
