import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseMapping } from './mapping.ts'
import { readRows } from './read.ts'
import type { RowRefusal, RowSample } from './rows.ts'

const CSV = parseMapping(`
stream: t
format: csv
source: { column: id }
time: { column: at, format: epoch_s }
fields:
  - { column: v, field: v, type: number }
  - { column: n, field: n, type: integer, optional: true }
  - { column: ok, field: ok, type: boolean, optional: true }
  - { column: note, field: note, type: string, optional: true }
`)
const HEADER = 'id,at,v,n,ok,note'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'skein-read-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function rowsOf(text: string | Uint8Array, mapping = CSV, name = 'f.csv') {
  const file = join(folder, name)
  await writeFile(file, text)
  const rows: (RowSample | RowRefusal)[] = []
  for await (const row of readRows({ file, mapping })) rows.push(row)
  return rows
}

/** `row` for a sample, `row!fault` for a refusal. */
async function outline(text: string | Uint8Array, mapping = CSV, name = 'f.csv') {
  const rows = await rowsOf(text, mapping, name)
  return rows.map((row) => (row.kind === 'row' ? `${row.row}` : `${row.row}!${row.fault}`))
}

describe('reading CSV', () => {
  test('a row becomes a sample with its types', async () => {
    const [row] = await rowsOf(`${HEADER}\nA, 12.5 ,1e-3,+42,TRUE,"say ""hi"", all"\n`)
    expect(row).toEqual({
      kind: 'row',
      row: 2,
      source: 'A',
      sample: {
        timeUs: 12_500_000,
        fields: { v: 0.001, n: 42, ok: true, note: 'say "hi", all' },
      },
    })
  })

  test('empty optional cells are missing values', async () => {
    const [row] = await rowsOf(`${HEADER}\nA,1,2,,,`)
    expect(row).toMatchObject({ sample: { fields: { v: 2 } } })
  })

  test('broken rows are refused with their line and reason, and the rest goes through', async () => {
    const lines = [
      HEADER,
      'A,1,1,1,1,x',
      'A,1,1,1,1',
      'A,1,1,1,1,x,y',
      'A,soon,1,,,',
      'A,,1,,,',
      ' ,1,1,,,',
      'A,1,1.2.3,,,',
      'A,1,NaN,,,',
      'A,1,,,,',
      'A,1,1,1.5,,',
      'A,1,1,1,constructor,',
      'A,1,1,9007199254740993,,',
      'A,2,2,2,0,y',
    ]
    expect(await outline(lines.join('\n'))).toEqual([
      '2',
      '3!wrong column count',
      '4!wrong column count',
      '5!not a time',
      '6!empty',
      '7!empty',
      '8!not a number',
      '9!not a number',
      '10!empty',
      '11!not an integer',
      '12!not a boolean',
      '13!not an integer',
      '14',
    ])
    const rows = await rowsOf(lines.join('\n'))
    expect(rows[6]).toMatchObject({ column: 'v', reason: 'v "1.2.3" is not a number' })
  })

  test('BOM, CRLF, empty lines and a quoted value over lines keep the editor’s line numbers', async () => {
    const text = `\uFEFF${HEADER}\r\n\r\nA,1,1,,,"two\r\nlines"\r\n\r\nA,2,2,,,x\r\n`
    expect(await outline(text)).toEqual(['3', '6'])
    const [row] = await rowsOf(text)
    expect(row).toMatchObject({ sample: { fields: { note: 'two\r\nlines' } } })
  })

  test('a quote that never closes costs its own line only', async () => {
    const text = `${HEADER}\nA,1,1,,,"x\nA,2,2,,,y\nA,3,3,,,"z"\nA,4,4,,,w\n`
    expect(await outline(text)).toEqual(['2!broken quotes', '3', '4', '5'])
    const many = Array.from({ length: 300 }, (_, index) => `A,${index},1,,,x`)
    expect(await outline([HEADER, 'A,1,1,,,"x', ...many].join('\n'))).toEqual([
      '2!broken quotes',
      ...many.map((_, index) => String(index + 3)),
    ])
  })

  test('stray quotes are refused, not repaired', async () => {
    const text = `${HEADER}\nA,1,1,,,5" pipe\nA,2,2,,,"q"r\nA,3,3,,,""\n`
    expect(await outline(text)).toEqual(['2!broken quotes', '3!broken quotes', '4'])
  })

  test('a line that is too long is refused, whatever pieces it comes in', async () => {
    const long = 'x'.repeat(400_000)
    expect(await outline(`${HEADER}\nA,1,1,,,${long}\nA,2,2,,,y`)).toEqual(['2!too long', '3'])
  })

  test('bytes that are not UTF-8 are refused where they are read', async () => {
    const bytes = Buffer.concat([Buffer.from(`${HEADER}\nA,1,1,,,`), Buffer.from([0xff, 0x0a])])
    expect(await outline(bytes)).toEqual(['2!not text'])
  })

  test('.gz is unpacked by its name, and broken compression is an error', async () => {
    const packed = gzipSync(`${HEADER}\nA,1,1,,,x\n`)
    expect(await outline(packed, CSV, 'f.csv.gz')).toEqual(['2'])
    await expect(outline(packed.subarray(0, -12), CSV, 'g.csv.gz')).rejects.toMatchObject({
      code: 'SIM_FILE_FORMAT',
    })
  })

  test('a file without the mapped columns, or without any, is an error that says so', async () => {
    await expect(rowsOf('id,at,vv,n,ok,note\n')).rejects.toThrow(
      'has no column "v", did you mean "vv"?',
    )
    await expect(rowsOf('id,at,v,n,ok,note,v\n')).rejects.toThrow('has the column "v" twice')
    await expect(rowsOf('')).rejects.toMatchObject({ code: 'SIM_FILE_FORMAT' })
    await expect(readRows({ file: '/no/such', mapping: CSV }).next()).rejects.toMatchObject({
      code: 'SIM_FILE_NOT_FOUND',
    })
  })

  test('stopping early closes the file', async () => {
    const file = join(folder, 'early.csv')
    await writeFile(file, `${HEADER}\n${'A,1,1,,,x\n'.repeat(50_000)}`)
    for await (const row of readRows({ file, mapping: CSV })) {
      expect(row.row).toBe(2)
      break
    }
  })
})

const JSON_MAPPING = parseMapping(`
stream: t
format: json
json: { records: '{station}.readings.{time}' }
source: { column: station }
time: { column: time, format: epoch_s }
fields: [{ column: a.v, field: v, type: number }]
`)

describe('reading JSON', () => {
  test('records are found by their path, with captured keys and lines', async () => {
    const text = `{
 "s1": { "info": { "readings": { "9": { "a": { "v": 9 } } }, "x": [1, {}, "}"] },
  "readings": { "1": { "a": { "v": 1.5 } },
   "2": { "a": { "v": "2" }, "t": "\\"}" } } },
 "s2": { "readings": { "3": 7, "4": [], "5": { "a": { "v": null } }, "6": {"a" 1},
   "7": { "a": { "v": -0 } } } }
}`
    const rows = await rowsOf(text, JSON_MAPPING, 'f.json')
    expect(rows.map((row) => [row.row, row.kind === 'row' ? row.source : row.fault])).toEqual([
      [3, 's1'],
      [4, 's1'],
      [5, 'not JSON'],
      [5, 'empty'],
      [5, 'not JSON'],
      [6, 's2'],
    ])
    expect(rows[1]).toMatchObject({ sample: { timeUs: 2_000_000, fields: { v: 2 } } })
  })

  test.each(['', '{"s":', '{"s":1]', '{"s" 1}', '{} {}', '[1,]', '{"a":tru}'])(
    'a document broken between records is an error: %s',
    async (text) => {
      await expect(rowsOf(text, JSON_MAPPING, 'f.json')).rejects.toMatchObject({
        code: 'SIM_FILE_FORMAT',
      })
    },
  )

  test('JSON Lines: a broken line is refused and the rest goes through', async () => {
    const mapping = parseMapping(`
stream: t
format: jsonl
source: { column: vehicle_id }
time: { column: timestamp, format: iso }
fields: [{ column: speed, field: speed, type: number }]
`)
    const sample = '{"vehicle_id":"VH001","timestamp":"2025-07-06T12:00:00Z","speed":65}'
    const text = `${sample}\n{"vehicle_id":\n\n[1]\n${sample}`
    expect(await outline(text, mapping, 'f.jsonl')).toEqual(['1', '2!not JSON', '4!not JSON', '5'])
  })
})
