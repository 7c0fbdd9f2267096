// Two real days of a city's buses, replayed at full speed into a mesh of three storage processes by
// the command that a user has, and compared row by row with the files. One mesh for all of it: the
// tests go on from each other, in their order.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mappingPath } from '../sim/index.ts'
import type { BucketRow } from '../storage/index.ts'
import {
  DAY_2015,
  DAY_2016,
  hasCapmetro,
  linesOf,
  readBus,
  readDay,
  type Bus,
  type Day,
} from './harness/capmetro.ts'
import { TestMesh } from './harness/mesh.ts'

const STREAM = 'bus.motion'
const HOUR_US = 3_600_000_000

/** What `skein replay --json` says at the end. */
interface ReplayResult {
  readonly complete: boolean
  readonly rows: number
  readonly samples: number
  readonly stored: number
  readonly refused: number
  readonly refusedBy: Readonly<Record<string, number>>
}

interface Refused {
  readonly row: number
  readonly reason: string
}

interface QueryRow {
  readonly timeUs: number
  readonly source: string
  readonly fields: Readonly<Record<string, number | string>>
}

let mesh: TestMesh

async function replay(
  file: string,
  mapping: string,
  ...more: string[]
): Promise<{ result: ReplayResult; refused: Refused[] }> {
  const args = ['--json', 'replay', file, '--map', mapping, '--speed', 'max', ...more]
  const { code, stdout, stderr } = await mesh.skein(args)
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  const refused = stderr
    .split('\n')
    .filter((line) => line.startsWith('{"refused"'))
    .map((line) => (JSON.parse(line) as { refused: Refused }).refused)
  return { result: JSON.parse(stdout) as ReplayResult, refused }
}

/** `skein query …`: its rows, having seen that the answer is complete and without gaps. */
async function query(kind: string, ...flags: string[]): Promise<QueryRow[]> {
  const { code, stdout, stderr } = await mesh.skein(['--json', 'query', kind, ...flags])
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  const lines = stdout.trimEnd().split('\n')
  const { coverage } = JSON.parse(lines.pop()!) as { coverage: object }
  expect(coverage).toMatchObject({ complete: true, reasons: [], gaps: [], members: 3 })
  return lines.map((line) => JSON.parse(line) as QueryRow)
}

/** Samples of a stream as the stores have them. */
async function countOf(stream: string): Promise<number> {
  const range = ['--from', '2015-01-01T00:00:00Z', '--to', '2017-01-01T00:00:00Z', '--every', '1d']
  const flags = ['--stream', stream, ...range, '--agg', 'count', '--fields', 'speed']
  const days = await query('downsample', ...flags, '--by', 'stream')
  return days.reduce((sum, { fields }) => sum + aggregate(fields, 'count'), 0)
}

function aggregate(fields: QueryRow['fields'], name: string): number {
  return (fields['speed'] as unknown as Record<string, number>)[name]!
}

/** Of all the days' rows; a row is in the file as often as its text is in the result. */
function textsOf(buses: readonly Bus[]): string[] {
  return buses
    .map((bus) => Object.values({ ...bus, speedKmh: bus.speedKmh.toFixed(6) }).join())
    .sort()
}

function busOf({ source, timeUs, fields }: QueryRow): Bus {
  return {
    source,
    timeUs,
    speedKmh: fields['speed'] as number,
    latitude: fields['latitude'] as number,
    longitude: fields['longitude'] as number,
    route: fields['route_id'] as string,
    trip: fields['trip_id'] as string,
    headsign: (fields['trip_headsign'] as string | undefined) ?? '',
  }
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return groups
}

describe.skipIf(!hasCapmetro())('a recorded day of buses', () => {
  beforeAll(async () => {
    mesh = new TestMesh()
    await mesh.startStores(3)
  }, 60_000)
  afterAll(() => mesh.close())

  // The later day first: what is newest must not be what arrived last.
  test.each([DAY_2016, DAY_2015])(
    '$mapping - every row is stored once, identical rows as often as they are in the file',
    async (day: Day) => {
      const buses = readDay(day)
      expect(buses).toHaveLength(day.rowCount)
      const { result, refused } = await replay(day.file, day.mapping)
      expect(refused).toEqual([])
      expect(result).toMatchObject({
        complete: true,
        rows: day.rowCount,
        samples: day.rowCount,
        stored: day.rowCount,
        refused: 0,
        refusedBy: {},
      })
      const times = buses.map(({ timeUs }) => timeUs)
      const [from, to] = [Math.min(...times), Math.max(...times) + 1]
      const rows = await query('range', '--stream', STREAM, '--from', `${from}`, '--to', `${to}`)
      expect(rows).toHaveLength(day.rowCount)
      expect(textsOf(rows.map(busOf))).toEqual(textsOf(buses))
      for (let i = 1; i < rows.length; i++) {
        expect(rows[i]!.timeUs).toBeGreaterThanOrEqual(rows[i - 1]!.timeUs)
      }
    },
    60_000,
  )

  test('latest - the newest row of each bus by event time, not by place in the file or arrival', async () => {
    const buses = [...readDay(DAY_2015), ...readDay(DAY_2016)]
    const bySource = groupBy(buses, ({ source }) => source)
    const newest = [...bySource.values()].map((rows) =>
      rows.reduce((best, row) => (row.timeUs >= best.timeUs ? row : best)),
    )
    // Otherwise this would show nothing: some buses' last row in the file is not their newest, and
    // some drove on both days, of which the earlier was stored last.
    expect([...bySource.values()].filter((rows) => isNotLast(rows)).length).toBeGreaterThan(10)
    const ofBoth = new Set(readDay(DAY_2015).map(({ source }) => source))
    expect(newest.filter((row) => isIn2016(row) && ofBoth.has(row.source)).length).toBeGreaterThan(
      10,
    )
    const rows = await query('latest', '--stream', STREAM)
    expect(textsOf(rows.map(busOf))).toEqual(textsOf(newest))
  }, 60_000)

  test.each([DAY_2015, DAY_2016])(
    '$mapping - downsample by the hour is what the file gives when it is summed up here',
    async (day: Day) => {
      const buses = readDay(day)
      const times = buses.map(({ timeUs }) => timeUs)
      const range = ['--from', `${Math.min(...times)}`, '--to', `${Math.max(...times) + 1}`]
      const flags = ['--stream', STREAM, ...range, '--every', '1h', '--fields', 'speed']
      const aggregates = ['--agg', 'count,avg,max,min,sum']
      for (const by of ['source', 'stream']) {
        const rows = await query('downsample', ...flags, ...aggregates, '--by', by)
        expectSame(rows as unknown as BucketRow[], buses, by)
      }
    },
    60_000,
  )

  test('the same file again stores nothing twice, and --again does', async () => {
    const before = await countOf(STREAM)
    expect(before).toBe(DAY_2015.rowCount + DAY_2016.rowCount)
    const { result } = await replay(DAY_2015.file, DAY_2015.mapping)
    // What is held already is acknowledged like anything else.
    expect(result.stored).toBe(DAY_2015.rowCount)
    expect(await countOf(STREAM)).toBe(before)
    await replay(DAY_2015.file, DAY_2015.mapping, '--again')
    expect(await countOf(STREAM)).toBe(before + DAY_2015.rowCount)
  }, 60_000)

  test('broken rows are refused by line and reason, and all others are stored', async () => {
    const { file, refusals, broken } = damagedCopy(DAY_2016)
    // A stream of its own, and a mapping that is not one of ours.
    const text = readFileSync(mappingPath(DAY_2016.mapping), 'utf8')
    const mapping = join(mesh.root, 'damaged.yaml')
    writeFileSync(mapping, text.replace(/^stream: .*$/m, 'stream: bus.damaged'))
    const { result, refused } = await replay(file, mapping)
    expect(refused.map(({ row }) => row)).toEqual([...refusals.keys()])
    for (const { row, reason } of refused) expect(reason).toMatch(refusals.get(row)!)
    expect(result).toMatchObject({
      rows: DAY_2016.rowCount,
      refused: broken.size,
      samples: DAY_2016.rowCount - broken.size,
      stored: DAY_2016.rowCount - broken.size,
    })
    const sum = Object.values(result.refusedBy).reduce((total, count) => total + count, 0)
    expect(sum).toBe(broken.size)
    const whole = linesOf(DAY_2016.file)
    const kept = whole.filter((_, index) => index > 0 && !broken.has(index + 1))
    const rows = await query('range', '--stream', 'bus.damaged')
    const expected = kept.map((line) => readBus(line, DAY_2016.kmhPerUnit))
    expect(textsOf(rows.map(busOf))).toEqual(textsOf(expected))
  }, 60_000)

  test('--strict ends at the first broken row, with its line', async () => {
    const { file, refusals } = damagedCopy(DAY_2016)
    const args = ['replay', file, '--map', DAY_2016.mapping, '--strict', '--again']
    const { code, stderr } = await mesh.skein(args)
    expect(code).not.toBe(0)
    expect(stderr).toContain('SIM_ROW_REFUSED')
    expect(stderr).toContain(`${file}:${[...refusals.keys()][0]}`)
  }, 60_000)
})

function isIn2016({ timeUs }: Bus): boolean {
  return new Date(timeUs / 1000).getUTCFullYear() === 2016
}

/** Whether the last row in the file is not the newest by event time. */
function isNotLast(rows: readonly Bus[]): boolean {
  return rows.at(-1)!.timeUs < Math.max(...rows.map(({ timeUs }) => timeUs))
}

function expectSame(rows: readonly BucketRow[], buses: readonly Bus[], by: string): void {
  const keyOf = (source: string | undefined, timeUs: number): string =>
    `${by === 'source' ? source : ''} ${Math.floor(timeUs / HOUR_US) * HOUR_US}`
  const hours = groupBy(buses, ({ source, timeUs }) => keyOf(source, timeUs))
  expect(rows.map((row) => keyOf(row.source, row.timeUs)).sort()).toEqual([...hours.keys()].sort())
  for (const row of rows) {
    const speeds = hours.get(keyOf(row.source, row.timeUs))!.map(({ speedKmh }) => speedKmh)
    const sum = speeds.reduce((total, speed) => total + speed, 0)
    const { count, ...others } = row.fields['speed']! as Record<string, number>
    expect(count).toBe(speeds.length)
    expect(others['max']).toBeCloseTo(Math.max(...speeds), 9)
    expect(others['min']).toBeCloseTo(Math.min(...speeds), 9)
    expect(others['avg']).toBeCloseTo(sum / speeds.length, 9)
    // Adding up thousands of numbers one by one is off by more than the product's exact sum is.
    expect(others['sum']).toBeCloseTo(sum, 6)
  }
}

/** The day with a few lines spoilt: what is expected to be said of each, by line. */
function damagedCopy(day: Day): {
  file: string
  refusals: Map<number, RegExp>
  broken: Set<number>
} {
  const lines = linesOf(day.file)
  const refusals = new Map<number, RegExp>()
  const spoil = (line: number, change: (cells: string[]) => string[], reason: RegExp): void => {
    lines[line - 1] = change(lines[line - 1]!.split(',')).join(',')
    refusals.set(line, reason)
  }
  spoil(2, (cells) => cells.with(2, 'fast'), /speed "fast" is not a number/)
  spoil(10, (cells) => cells.slice(0, 5), /column/)
  spoil(11, (cells) => [...cells, 'more'], /column/)
  spoil(500, (cells) => cells.with(1, '2016-13-45T99:00:00Z'), /timestamp .*time/)
  spoil(1_000, (cells) => cells.with(1, ''), /timestamp/)
  spoil(5_000, (cells) => cells.with(0, ''), /vehicle_id/)
  spoil(12_000, (cells) => cells.with(5, 'NaN'), /latitude "NaN" is not a number/)
  spoil(20_000, (cells) => cells.with(7, '"never closed'), /quote/)
  spoil(lines.length, (cells) => cells.with(6, ''), /longitude/)
  const file = join(mesh.root, 'damaged.csv')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return { file, refusals, broken: new Set(refusals.keys()) }
}
