import { describe, expect, it } from 'vitest'
import { cellText, figure, isFigures } from './figure.ts'

describe('figure', () => {
  it.each([
    [1_330_000, '1,330,000'],
    [1_234_567, '1,230,000'],
    [38.24, '38.2'],
    [0.94, '0.94'],
    [0.001234, '0.00123'],
    [0, '0'],
    [-1.5, '-1.5'],
  ])('%d - is %s', (value, text) => {
    expect(figure(value)).toBe(text)
  })

  it.each([undefined, Number.NaN, Infinity])('%s - is a dash', (value) => {
    expect(figure(value)).toBe('–')
  })
})

it('cellText - what a result file made of undefined is a dash', () => {
  const [cell] = JSON.parse(JSON.stringify([undefined])) as [undefined]
  expect(cellText(cell)).toBe('–')
})

it('isFigures - a unit, or no text, makes a column of figures', () => {
  const table = {
    columns: [{ name: 'cell' }, { name: 'p50', unit: 'ms' }, { name: 'runs' }],
    rows: [['skein', '1.2 (1.1–1.3)', 3]],
  }
  expect([0, 1, 2].map((index) => isFigures(table, index))).toEqual([false, true, true])
})
