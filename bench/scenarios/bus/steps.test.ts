import { describe, expect, test } from 'vitest'
import { curvesOf, isBeyond, sustainedWords } from './steps.ts'
import { busRun, type Made } from './testing.ts'

const at = (rate: number, made: Made = {}) => busRun({ ...made, load: { rate } })
const LATE = ['the generator was late: p99 9 ms behind its plan']

describe('sustained steps in words', () => {
  test('all that was offered', () => {
    expect(sustainedWords([at(1_000), at(5_000)])).toBe('sustains all that was offered, 5,000/s')
  })

  test('what a system did not keep up with, or a slow subscriber missed', () => {
    const slow = at(5_000, { isSustained: false })
    expect(sustainedWords([at(1_000), slow])).toBe('sustains 1,000/s, not 5,000/s')
    const missed = at(1_000, { lost: 3, voids: ['3 samples lost'] })
    expect(sustainedWords([missed])).toBe('does not sustain 1,000/s')
  })

  test('a load that was not offered as planned is no fault of the system', () => {
    const late = at(5_000, { isSustained: false, voids: LATE })
    expect(sustainedWords([at(1_000), late])).toBe(
      `sustains 1,000/s, no run at 5,000/s counts (${LATE[0]})`,
    )
    expect(sustainedWords([late])).toBe(`no run at 5,000/s counts (${LATE[0]})`)
  })
})

describe('steps', () => {
  const runs = [at(1_000), at(5_000, { isSustained: false })]
  const cellAt = (rate?: number) => {
    const { cell: name, setting, load } = busRun(rate === undefined ? {} : { load: { rate } })
    return { name, setting, load, system: { persists: true } }
  }

  test('those above one that was too much are not measured; flat out is', () => {
    expect(isBeyond(cellAt(5_000), runs)).toBe(false)
    expect(isBeyond(cellAt(10_000), runs)).toBe(true)
    expect(isBeyond(cellAt(), runs)).toBe(false)
    expect(isBeyond({ ...cellAt(10_000), name: 'made: another' }, runs)).toBe(false)
  })

  test('curves are hollow from there on', () => {
    const plot = curvesOf('x', [{ name: 'skein', runs }], {
      label: 'receipt',
      unit: 'µs',
      figure: ({ receipt }) => receipt?.p50,
    })
    expect(plot.series[0]!.points).toEqual([
      { x: 1_000, y: 500, isHollow: false },
      { x: 5_000, y: 500, isHollow: true },
    ])
  })
})
