import { describe, expect, test } from 'vitest'
import { coloured, paintFor, plain } from './paint.ts'
import { table, type Column } from './table.ts'
import { displayWidth, fit, pad } from './width.ts'

describe('display width', () => {
  test.each([
    ['', 0],
    ['speed', 5],
    ['µs', 2],
    ['東京', 4],
    ['ＡＢ', 4],
    ['한국', 4],
    ['e\u0301', 1],
    ['🚗', 2],
    ['👩‍👩‍👧', 2],
    ['❤️', 2],
    ['a\u200bb', 2],
    ['\x1b[31mred\x1b[39m', 3],
  ])('%j takes %d columns', (text, width) => expect(displayWidth(text)).toBe(width))

  test('fit - cuts by width, never half a character, and says that it cut', () => {
    expect(fit('vehicle', 7)).toBe('vehicle')
    expect(fit('vehicle', 5)).toBe('vehi…')
    expect(fit('東京都', 4)).toBe('東…')
    expect(fit('\x1b[31mvehicle\x1b[39m', 3)).toBe('ve…')
    expect([fit('ab', 1), fit('ab', 0)]).toEqual(['…', ''])
  })

  test('pad - fills by width', () => {
    expect([pad('東', 4), pad('7', 3, 'right'), pad('long', 2)]).toEqual(['東  ', '  7', 'long'])
  })
})

describe('table', () => {
  interface Row {
    readonly source: string
    readonly count: number
  }
  const columns: readonly Column<Row>[] = [
    { title: 'SOURCE', value: ({ source }) => source },
    { title: 'SAMPLES', value: ({ count }) => String(count), align: 'right' },
  ]
  const rows = [
    { source: 'VH001', count: 12 },
    { source: '東京-bus', count: 3 },
  ]

  test('columns are aligned by display width', () => {
    expect(table(rows, columns)).toEqual([
      'SOURCE    SAMPLES',
      'VH001          12',
      '東京-bus        3',
    ])
  })

  test('colours in cells do not shift what follows', () => {
    const [, line] = table(rows, [
      { title: 'S', value: ({ source }: Row) => coloured('red', source) },
      columns[1]!,
    ])
    expect(line).toBe('\x1b[31mVH001\x1b[39m          12')
  })

  test('lines are cut to the terminal, cells to their own limit, breaks become spaces', () => {
    expect(table(rows, columns, { columns: 8 })).toEqual(['SOURCE …', 'VH001  …', '東京-bu…'])
    const narrow = [{ title: 'N', value: () => 'one\ntwo three', widthMax: 8 }]
    expect(table(rows.slice(0, 1), narrow)).toEqual(['N', 'one two…'])
  })

  test('field names - a column each, numbers at the right, absent values empty', () => {
    const partial: { source: string; count: number; note?: string }[] = [
      { source: 'VH001', count: 12 },
      { source: 'VH2', count: 3, note: 'late' },
    ]
    expect(table(partial, ['source', 'count', 'note'])).toEqual([
      'source  count  note',
      'VH001      12',
      'VH2         3  late',
    ])
  })

  test('no rows - the titles alone', () => {
    expect(table([], columns)).toEqual(['SOURCE  SAMPLES'])
  })
})

describe('paintFor', () => {
  test('colours only on a terminal and without NO_COLOR', () => {
    expect(paintFor({ isTTY: true }, {})).toBe(coloured)
    expect(paintFor({ isTTY: true }, { NO_COLOR: '' })).toBe(coloured)
    expect(paintFor({ isTTY: true }, { NO_COLOR: '1' })).toBe(plain)
    expect(paintFor({}, {})).toBe(plain)
    expect(plain('red', 'x')).toBe('x')
    expect(coloured(['bold', 'red'], 'x')).toBe('\x1b[1m\x1b[31mx\x1b[39m\x1b[22m')
  })
})
