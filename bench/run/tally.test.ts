import { describe, expect, it } from 'vitest'
import { Tally } from './tally.ts'

describe('tally', () => {
  it('counts each number once and says how often one came again', () => {
    const tally = new Tally()
    for (const number of [0, 1, 1, 2_000_000, 2_000_000, 2_000_000]) tally.add(number, 5)
    expect(tally).toMatchObject({ count: 3, duplicates: 3, timesUs: undefined })
  })

  it('keeps the first time of each when it knows how many there are', () => {
    const tally = new Tally(3)
    tally.add(1, 10)
    tally.add(1, 20)
    tally.add(2, 30)
    expect([...tally.timesUs!]).toEqual([0, 10, 30])
    expect(tally).toMatchObject({ count: 2, duplicates: 1 })
  })

  it('leaves out what is not of its run', () => {
    const tally = new Tally(3)
    tally.add(-1, 10)
    tally.add(3, 10)
    expect(tally).toMatchObject({ count: 0, duplicates: 0 })
  })
})
