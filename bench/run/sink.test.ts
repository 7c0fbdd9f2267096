import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openSink, Persister, type Row } from './sink.ts'

const ROWS: readonly Row[] = [
  { source: 'BUS001', timeUs: 1_000, fields: { passengers: 12, delay: -3.5 } },
  { source: 'BUS002', timeUs: 1_000, fields: { passengers: 7, note: 'late, "very"' } },
  { source: 'BUS001', timeUs: 2_000, fields: { passengers: 13, delay: 0, unnamed: 1 } },
]
const NAMES = ['passengers', 'delay', 'note']

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'skein-sink-'))
  path = join(folder, 'sink')
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('sink', () => {
  test('a database has a row for each, and nothing where a row has nothing', () => {
    const sink = openSink({ kind: 'sqlite', path, names: NAMES })
    sink.write(ROWS.slice(0, 2))
    sink.write(ROWS.slice(2))
    sink.close()
    using database = new DatabaseSync(join(path, 'samples.db'))
    const rows = database.prepare('SELECT * FROM samples ORDER BY time_us, source').all()
    expect(rows.map((row) => Object.values(row))).toEqual([
      ['BUS001', 1_000, 12, -3.5, null],
      ['BUS002', 1_000, 7, null, 'late, "very"'],
      ['BUS001', 2_000, 13, 0, null],
    ])
  })

  test('a file has a line for each below its head', () => {
    const sink = openSink({ kind: 'csv', path, names: NAMES })
    sink.write(ROWS.slice(0, 2))
    sink.write(ROWS.slice(2))
    sink.close()
    expect(readFileSync(join(path, 'samples.csv'), 'utf8')).toBe(
      'source,time_us,passengers,delay,note\n' +
        'BUS001,1000,12,-3.5,\nBUS002,1000,7,,"late, ""very"""\nBUS001,2000,13,0,\n',
    )
  })

  test('what comes in one turn is one batch, told once it is persisted', async () => {
    const { promise, resolve } = Promise.withResolvers<readonly Row[]>()
    const persister = new Persister({ kind: 'csv', path, names: NAMES }, resolve)
    persister.take(ROWS.slice(0, 1))
    persister.take(ROWS.slice(1))
    expect(await promise).toEqual(ROWS)
    expect(readFileSync(join(path, 'samples.csv'), 'utf8').split('\n')).toHaveLength(5)
    persister.close()
    expect(existsSync(path)).toBe(false)
  })
})
