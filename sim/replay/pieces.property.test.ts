import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SimError } from '../errors.ts'
import { CsvReader } from './csv.ts'
import { JsonRecordReader } from './json-records.ts'

/** What a reader makes of a text that comes in pieces. */
function readIn(
  reader: CsvReader | JsonRecordReader,
  text: string,
  pieceLength: number,
): unknown[] {
  const items: unknown[] = []
  try {
    for (let at = 0; at < text.length; at += pieceLength) {
      for (const item of reader.push(text.slice(at, at + pieceLength))) items.push(item)
    }
    for (const item of reader.end()) items.push(item)
  } catch (error) {
    if (!(error instanceof SimError)) throw error
    items.push(error.message)
  }
  return items
}

const csvText = fc
  .array(fc.constantFrom('a', '"', ',', '\n', '\r\n', 'b,c', '"d"', '""'), { maxLength: 60 })
  .map((parts) => parts.join(''))

const csv = () => new CsvReader({ delimiter: ',', quote: '"' })

describe('files come in pieces', () => {
  test('CSV is read the same in pieces of any length, and every line is accounted for', () => {
    fc.assert(
      fc.property(csvText, fc.integer({ min: 1, max: 9 }), (text, pieceLength) => {
        const whole = readIn(csv(), text, 1_000)
        expect(readIn(csv(), text, pieceLength)).toEqual(whole)
        const rows = whole.map((item) => (item as { row: number }).row)
        expect(rows).toEqual([...new Set(rows)].sort((a, b) => a - b))
      }),
      { numRuns: 300 },
    )
  })

  test('without quotes every line that is not empty is a row of its own', () => {
    const text = fc.array(fc.constantFrom('a', ',', '\n', '\r\n'), { maxLength: 60 })
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 9 }), (parts, pieceLength) => {
        const lines = parts.join('').replaceAll('\r', '').split('\n')
        const rows = readIn(csv(), parts.join(''), pieceLength)
        const expected = lines.map((line, at) => ({ row: at + 1, cells: line.split(',') }))
        expect(rows).toEqual(expected.filter(({ cells }) => cells.join() !== ''))
      }),
      { numRuns: 200 },
    )
  })

  test('what CSV writes well comes back, whatever the values', () => {
    const cell = fc.string({ maxLength: 12 })
    const table = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { maxLength: 12 })
    fc.assert(
      fc.property(table, fc.constantFrom('\n', '\r\n'), (rows, lineEnd) => {
        const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`
        const text = rows.map((row) => row.map(quoted).join(',') + lineEnd).join('')
        const cells = readIn(csv(), text, 7).map((row) => (row as { cells: string[] }).cells)
        expect(cells).toEqual(rows)
      }),
      { numRuns: 200 },
    )
  })

  test('JSON records are found the same in pieces of any length, and are what JSON.parse finds', () => {
    const value = fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 2 }), {
      maxKeys: 4,
      noNullPrototype: true,
    })
    const document = fc.array(fc.record({ info: fc.jsonValue({ maxDepth: 2 }), at: value }))
    fc.assert(
      fc.property(
        document,
        fc.integer({ min: 1, max: 9 }),
        fc.boolean(),
        (list, length, spaced) => {
          const text = JSON.stringify(list, null, spaced ? 1 : 0)
          const found = readIn(new JsonRecordReader('{n}.at'), text, length)
          expect(found).toMatchObject(
            list.map(({ at }, index) => ({
              record: JSON.parse(JSON.stringify(at)) as object,
              captured: { n: String(index) },
            })),
          )
        },
      ),
      { numRuns: 200 },
    )
  })

  test('JSON that is cut or garbled is an error or a refusal, never a crash', () => {
    const text = JSON.stringify({ a: { at: { v: 1, w: ['x', { y: null }] } }, b: { at: { v: 2 } } })
    fc.assert(
      fc.property(fc.nat(text.length), fc.constantFrom('', '"', '}', '[', ',', '\\'), (at, put) => {
        const garbled = text.slice(0, at) + put + text.slice(at + 1)
        const whole = readIn(new JsonRecordReader('{n}.at'), garbled, 1_000)
        expect(readIn(new JsonRecordReader('{n}.at'), garbled, 1)).toEqual(whole)
      }),
      { numRuns: 200 },
    )
  })
})
