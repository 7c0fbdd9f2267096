// Rows and questions that are wrong in part: what is right goes through, what is not is named.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { jsonError, onlyJson, Shell, type CommandOptions, type Ended } from './harness/command.ts'
import { OneStore } from './harness/one-store.ts'

const CONFIG = `
publisher:
  streams:
    city.air:
      schema:
        type: object
        properties:
          temperature: { type: number, minimum: -90, maximum: 60, x-unit: celsius }
        required: [temperature]
        additionalProperties: false
`

const shell = new Shell()
let cwd: string
let store: OneStore

beforeAll(async () => {
  cwd = shell.directory()
  writeFileSync(join(cwd, 'skein.yaml'), CONFIG)
  store = await OneStore.start({ cwd })
})

afterAll(async () => {
  await store[Symbol.asyncDispose]()
  await shell[Symbol.asyncDispose]()
})

const skein = (words: readonly string[], options: CommandOptions = {}): Promise<Ended> =>
  shell.run([...store.flags, ...words], { cwd, ...options })

/** Sources and fields of what is stored, in the order of time. */
async function stored(stream: string): Promise<unknown[]> {
  const { stdout } = await skein(['query', 'range', '-s', stream, '--json'])
  const lines = stdout.trimEnd().split('\n').slice(0, -1)
  return lines.map((line) => {
    const { source, fields } = JSON.parse(line) as { source: string; fields: unknown }
    return [source, fields]
  })
}

describe('publish', () => {
  const CSV = [
    'station,at,x,note',
    'A,2025-01-01T00:00:00Z,1,first',
    'B,yesterday,2,',
    'C,2025-01-01T00:00:01Z',
    ',2025-01-01T00:00:02Z,4,',
    'D,2025-01-01T00:00:03Z,"5,5",last',
    '',
  ].join('\n')
  const columns = ['--source-field', 'station', '--time-field', 'at']

  test('CSV with broken rows - row, reason, the rest goes through, counts at the end', async () => {
    const file = join(cwd, 'rows.csv')
    writeFileSync(file, CSV)
    const { code, stderr, stdout } = await skein(['publish', 'test.csv', file, ...columns])
    const lines = stderr.trimEnd().split('\n')
    expect(lines[0]).toMatch(/^warning: line 3 refused: at "yesterday" is no time: expected an ISO/)
    expect(lines.slice(1)).toEqual([
      'warning: line 4 refused: 2 columns, the header has 4',
      expect.stringMatching(/^warning: line 5 refused: no source/),
      '2 published, 2 stored, 3 refused',
    ])
    expect([code, stdout]).toEqual([0, ''])
    expect(await stored('test.csv')).toEqual([
      ['A', { x: 1, note: 'first' }],
      ['D', { x: '5,5', note: 'last' }],
    ])
  })

  test('--strict - stops at the first broken row with exit code 1', async () => {
    const words = ['publish', 'test.strict', '-', ...columns, '--strict', '--json']
    const { code, stderr, stdout } = await skein(words, { input: CSV })
    expect(onlyJson(stderr)).toMatchObject({ refused: { row: 3 } })
    expect(onlyJson(stdout)).toMatchObject({ published: 1, stored: 1, refused: 1, undelivered: 0 })
    expect(code).toBe(1)
    expect(await stored('test.strict')).toEqual([['A', { x: 1, note: 'first' }]])
  })

  test('every row refused - exit code 1, and the counts', async () => {
    const input = '{"x":1}\nnot json\n'
    const { code, stderr } = await skein(['publish', 'test.none'], { input })
    expect(stderr).toMatch(/^0 published, 0 stored, 2 refused$/m)
    expect(code).toBe(1)
    const nothing = await skein(['publish', 'test.none'], { input: '\n' })
    expect([nothing.code, nothing.stderr]).toEqual([0, '0 published, 0 stored, 0 refused\n'])
  })

  test('NDJSON - not JSON, no object, nested, no source', async () => {
    const input = '{"id":"A","x":1}\nnot json\n[1]\n{"id":"B","x":{}}\n{"x":1}\n\n{"id":"C"}\n'
    const { stderr } = await skein(['publish', 'test.json', '--json'], { input })
    const refused = stderr.trimEnd().split('\n')
    expect(refused.map((line) => JSON.parse(line))).toMatchObject([
      { refused: { row: 2, reason: expect.stringMatching(/^not JSON: /) } },
      { refused: { row: 3, reason: 'not a JSON object' } },
      { refused: { row: 4, reason: 'field x is nested; flatten it' } },
      { refused: { row: 5, reason: expect.stringMatching(/^no source: expected one of source,/) } },
    ])
  })

  test('a sample that breaks its schema, one that fits no frame - refused with the reason', async () => {
    const rows = [
      { source: 'S1', temperature: 21.5 },
      { source: 'S1', temperature: 99 },
      { source: 'S1', temperature: 'warm' },
      { source: 'S1', humidity: 40 },
      { source: 'S1', temperature: 20 },
    ]
    const large = [
      { source: 'S1', text: 'x'.repeat(1_500_000) },
      { source: 'S1', text: 'y' },
    ]
    const lines = (objects: readonly object[]): string =>
      objects.map((row) => JSON.stringify(row)).join('\n')
    const [air, text] = await Promise.all([
      skein(['publish', 'city.air'], { input: lines(rows) }),
      skein(['publish', 'test.large'], { input: lines(large) }),
    ])
    expect(air.stderr).toMatch(/line 2 refused: sample of city\.air \(S1\): .*temperature/)
    expect(air.stderr).toMatch(/line 3 refused: .*temperature/)
    expect(air.stderr).toMatch(/line 4 refused: /)
    expect(air.stderr).toMatch(/^2 published, 2 stored, 3 refused$/m)
    expect(text.stderr).toMatch(/line 1 refused: frame of \d+ bytes exceeds 1048576 \(test\.large/)
    expect(text.stderr).toMatch(/^1 published, 1 stored, 1 refused$/m)
    expect(await stored('city.air')).toEqual([
      ['S1', { temperature: 21.5 }],
      ['S1', { temperature: 20 }],
    ])
  })
})

describe('replay', () => {
  const MAPPING = [
    'stream: test.day',
    'format: csv',
    'source: { column: bus }',
    'time: { column: at, format: iso }',
    'fields:',
    '  - { column: speed, field: speed, type: number }',
    '',
  ].join('\n')

  test('broken rows - listed, counted by reason; replaying the file again stores nothing twice', async () => {
    writeFileSync(join(cwd, 'map.yaml'), MAPPING)
    writeFileSync(
      join(cwd, 'day.csv'),
      'bus,at,speed\nA,2025-01-01T00:00:00Z,1\nB,never,2\nA,2025-01-01T00:00:01Z,fast\nA,2025-01-01T00:00:02Z,3\n',
    )
    const words = ['replay', 'day.csv', '--map', 'map.yaml']
    const first = await skein(words)
    expect(first.stderr).toMatch(/^warning: line 3 refused: /m)
    expect(first.stderr).toMatch(/^warning: line 4 refused: /m)
    expect(first.stderr).toMatch(
      /^4 rows: 2 samples of 1 source as test\.day, 2 stored, 2 refused/m,
    )
    expect(first.code).toBe(0)
    const [again, strict] = await Promise.all([
      skein([...words, '--json']),
      skein([...words, '--strict', '--json', '--set', 'publisher.linger=0']),
    ])
    const counts = onlyJson(again.stdout)
    expect(counts).toMatchObject({ rows: 4, samples: 2, stored: 2, refused: 2 })
    expect(String(counts['seconds'])).toMatch(/^\d+(\.\d{1,3})?$/)
    expect(jsonError(strict)).toMatchObject({ code: 'SIM_ROW_REFUSED' })
    expect(strict.code).toBe(1)
    expect(await stored('test.day')).toHaveLength(2)
  })

  test('every row refused - exit code 1, and the counts', async () => {
    writeFileSync(join(cwd, 'none.csv'), 'bus,at,speed\nA,never,1\nB,2025-01-01T00:00:00Z,fast\n')
    const { code, stderr } = await skein(['replay', 'none.csv', '--map', 'map.yaml'])
    expect(stderr).toMatch(/^2 rows: 0 samples of 0 sources as test\.day, 0 stored, 2 refused/m)
    expect(code).toBe(1)
  })
})

describe('a file that breaks off', () => {
  const MAPPING = [
    'stream: test.broken',
    'format: json',
    'json: { records: "rows.{n}" }',
    'source: { column: bus }',
    'time: { column: at, format: epoch_s }',
    'fields:',
    '  - { column: speed, field: speed, type: number }',
    '',
  ].join('\n')

  test('nothing is published yet - exit code 2; a part of it is - 1, and how much', async () => {
    writeFileSync(join(cwd, 'broken.yaml'), MAPPING)
    // More than is read at a time.
    const rows = Array.from({ length: 5000 }, (_, i) => `{"bus":"A","at":${1e9 + i},"speed":${i}}`)
    writeFileSync(join(cwd, 'early.json'), `{"rows":[${rows[0]},!`)
    writeFileSync(join(cwd, 'late.json'), `{"rows":[${rows.join()},!`)
    const words = ['--map', 'broken.yaml', '--json']
    const early = await skein(['replay', 'early.json', ...words])
    const late = await skein(['replay', 'late.json', ...words])
    expect([early.code, late.code]).toEqual([2, 1])
    expect(jsonError(early)).toMatchObject({ code: 'SIM_FILE_FORMAT' })
    expect(jsonError(late)).toMatchObject({
      code: 'SIM_FILE_FORMAT',
      message: expect.stringMatching(/; published before it: [1-9]\d+ samples$/),
      details: { published: expect.any(Number) as number },
    })
  })
})

describe('asking', () => {
  test('unknown stream - the nearest is named; unknown field - so is its nearest', async () => {
    const [stream, field] = await Promise.all([
      skein(['query', 'latest', '-s', 'citi.air', '--json']),
      skein(['query', 'latest', '-s', 'city.air', '--fields', 'temprature']),
    ])
    expect(jsonError(stream)).toMatchObject({
      code: 'QUERY_STREAM_UNKNOWN',
      message: expect.stringMatching(/Did you mean "city\.air"\? There are: city\.air, /),
    })
    expect(stream.code).toBe(1)
    expect(field.stderr).toMatch(/no sample of city\.air has a field temprature: did you mean temp/)
  })

  test('subscribe to what nobody publishes - says so once, and waits', async () => {
    const words = ['subscribe', 'citi.air', '--count', '1', '--json']
    const waiting = shell.start([...store.flags, ...words], { cwd })
    await waiting.says(/nobody has published citi\.air so far; waiting/)
    const publish = skein(['publish', 'citi.air'], { input: '{"source":"S2","x":7}\n' })
    const ended = await waiting.ended
    expect((await publish).code).toBe(0)
    const live = onlyJson(ended.stdout)
    expect(live).toMatchObject({ source: 'S2', fields: { x: 7 }, late: false })
    expect(live['time']).toMatch(/^20.*T.*\.\d{6}Z$/)
    expect(Date.parse(live['time'] as string)).toBe(Math.floor((live['timeUs'] as number) / 1000))
    expect(ended.stderr.match(/nobody has published/g)).toHaveLength(1)
    expect(ended.stderr).toMatch(/Did you mean city\.air\?/)
    expect(ended.code).toBe(0)
  })

  test('a reader that has had enough - quiet, exit code 0', async () => {
    const rows = Array.from(
      { length: 1500 },
      (_, i) => `{"source":"S${i}","x":"${'x'.repeat(90)}"}`,
    )
    await skein(['publish', 'test.many'], { input: rows.join('\n') })
    const words = [...store.flags, 'query', 'range', '-s', 'test.many', '--json']
    const reader = shell.start(words, { cwd })
    reader.child.stdout!.once('data', () => reader.child.stdout!.destroy())
    const { code, stderr } = await reader.ended
    expect([code, stderr]).toEqual([0, ''])
  })

  test.each([
    'query latest -s test.csv',
    'subscribe test.epipe',
    'peers',
    'status --json',
    'config show',
    'help query',
  ])('a reader that was gone before `%s` said anything - the same', async (words) => {
    const reader = shell.start([...store.flags, ...words.split(' ')], { cwd })
    reader.child.stdout!.destroy()
    const going = words.startsWith('subscribe') ? publishUntil(reader) : undefined
    const { code, stderr } = await reader.ended
    await going
    expect(code).toBe(0)
    expect(stderr).not.toMatch(/EPIPE|\n\s+at /)
  })

  test('a reader that is gone does not hide what failed', async () => {
    const words = [...store.flags, 'publish', 'test.gone', '--json']
    const publish = shell.start(words, { cwd, input: '{"x":1}\n' })
    publish.child.stdout!.destroy()
    expect((await publish.ended).code).toBe(1)
  })
})

/** A live reader finds out that its own reader is gone when it has something to say. */
async function publishUntil(reader: ReturnType<Shell['start']>): Promise<void> {
  while (reader.isRunning) await skein(['publish', 'test.epipe'], { input: '{"id":"A","x":1}\n' })
}
