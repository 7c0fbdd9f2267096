// The shipped mappings on the real recordings of ../shared/data, checked against a naive reading of
// the same files (they hold no quotes) and against the numbers of their README.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compileSchema } from '../../mesh/index.ts'
import { loadMapping, mappingSchema } from './mapping.ts'
import { readRows } from './read.ts'
import { replayFile, type ReplayFrame } from './replay.ts'
import type { RowSample } from './rows.ts'

const DATA = join(import.meta.dirname, '../../../shared/data')

function found(name: string): boolean {
  const exists = existsSync(join(DATA, name))
  if (!exists) console.log(`skipped: ../shared/data/${name} not found`)
  return exists
}

function mapping(name: string) {
  return loadMapping(join(import.meta.dirname, 'mappings', `${name}.yaml`))
}

async function samplesOf(file: string, mappingName: string): Promise<RowSample[]> {
  const rows: RowSample[] = []
  for await (const row of readRows({
    file: join(DATA, file),
    mapping: await mapping(mappingName),
  })) {
    if (row.kind === 'refusal') throw new Error(`row ${row.row} refused: ${row.reason}`)
    rows.push(row)
  }
  return rows
}

function cellsOf(file: string, delimiter: string): string[][] {
  const lines = readFileSync(join(DATA, file), 'utf8').trimEnd().split('\n').slice(1)
  return lines.map((line) => line.split(delimiter))
}

function reversals(rows: readonly RowSample[], perSource: boolean): number {
  const latest = new Map<string, number>()
  let count = 0
  for (const { source, sample } of rows) {
    const key = perSource ? source : ''
    if (sample.timeUs < (latest.get(key) ?? 0)) count++
    latest.set(key, sample.timeUs)
  }
  return count
}

describe.skipIf(!found('capmetro_austin'))('capmetro_austin', () => {
  const days = [
    {
      file: 'capmetro_austin/2015-03-08.csv',
      name: 'capmetro-2015',
      rows: 12_354,
      perSource: 189,
      all: 338,
      kmh: 1.609344,
    },
    {
      file: 'capmetro_austin/2016-11-24.csv',
      name: 'capmetro-2016',
      rows: 24_490,
      perSource: 1_182,
      all: 1_543,
      kmh: 3.6,
    },
  ]

  test.each(days)('$file: every row in order, reversals kept', async (day) => {
    const rows = await samplesOf(day.file, day.name)
    const schema = compileSchema(mappingSchema(await mapping(day.name)))
    expect(rows.flatMap(({ sample }) => schema.validate(sample.fields) ?? [])).toEqual([])
    expect(rows).toHaveLength(day.rows)
    expect(rows.map(({ row }) => row)).toEqual(rows.map((_, index) => index + 2))
    expect(reversals(rows, true)).toBe(day.perSource)
    expect(reversals(rows, false)).toBe(day.all)
  })

  test.each(days)(
    '$file: speed in km/h, place and time as a naive reader has them',
    async (day) => {
      const rows = await samplesOf(day.file, day.name)
      const cells = cellsOf(day.file, ',')
      for (const [index, { source, sample }] of rows.entries()) {
        const [id, at, speed, , , latitude, longitude] = cells[index]!
        expect(source).toBe(`bus-${id}`)
        expect(sample.timeUs).toBe(Date.parse(at!) * 1000)
        expect(sample.fields['speed']).toBeCloseTo(Number(speed) * day.kmh, 9)
        expect(sample.fields['latitude']).toBe(Number(latitude))
        expect(sample.fields['longitude']).toBe(Number(longitude))
      }
    },
  )

  test('2015: both offsets of the day daylight saving starts are read, 174 rows at -06:00', async () => {
    const rows = await samplesOf(days[0]!.file, days[0]!.name)
    const change = Date.parse('2015-03-08T08:00:00Z') * 1000
    expect(rows.filter(({ sample }) => sample.timeUs < change)).toHaveLength(174)
  })

  test('2015: the 6 exact duplicates stay rows', async () => {
    const rows = await samplesOf(days[0]!.file, days[0]!.name)
    const distinct = new Set(rows.map(({ source, sample }) => JSON.stringify([source, sample])))
    expect(rows.length - distinct.size).toBe(6)
  })

  test('2016: the 54 empty headsigns are missing values', async () => {
    const rows = await samplesOf(days[1]!.file, days[1]!.name)
    expect(rows.filter(({ sample }) => !('trip_headsign' in sample.fields))).toHaveLength(54)
  })

  test.each(days)(
    '$file: replayed twice, in either order, frames and epoch are the same',
    async (day) => {
      const plays = await Promise.all(
        (['file', 'file', 'recorded'] as const).map(async (order) => {
          const file = join(DATA, day.file)
          const replay = await replayFile({
            file,
            mapping: await mapping(day.name),
            codec: 'columnar',
            order,
          })
          const frames = new Map<string, ReplayFrame['samples']>()
          let dues = 0
          let latest = -1
          for await (const item of replay) {
            if (item.kind === 'refusal') throw new Error(item.reason)
            frames.set(`${item.source} ${item.index}`, item.samples)
            if (item.offsetUs < latest) throw new Error(`due before frame ${frames.size}`)
            if (item.offsetUs > latest) dues++
            latest = item.offsetUs
          }
          return { epoch: replay.epoch, frames, counts: replay.counts, dues }
        }),
      )
      const [one, two, recorded] = plays
      expect(two).toEqual(one)
      expect(recorded!.epoch).toBe(one!.epoch)
      expect(recorded!.counts).toEqual(one!.counts)
      expect(recorded!.frames.size).toBe(one!.frames.size)
      expect(Object.fromEntries(recorded!.frames)).toEqual(Object.fromEntries(one!.frames))
      expect(one!.counts.samples).toBe(day.rows)
      // The file is grouped by bus, so in file order nearly every frame is due at once.
      expect(one!.dues).toBeLessThan(one!.frames.size / 20)
      expect(recorded!.dues).toBeGreaterThan(one!.dues * 10)
    },
  )
})

describe.skipIf(!found('aberdeen_air'))('aberdeen_air', () => {
  test('the 92 files hold 50,413 rows of 23 sensors, in UTC, with the one empty P2 missing', async () => {
    const files = readdirSync(join(DATA, 'aberdeen_air/pm')).map(
      (name) => `aberdeen_air/pm/${name}`,
    )
    expect(files).toHaveLength(92)
    const sources = new Set<string>()
    let [rows, missing, saturated] = [0, 0, 0]
    for (const file of files) {
      const samples = await samplesOf(file, 'aberdeen-pm')
      const cells = cellsOf(file, ';')
      rows += samples.length
      for (const [index, { source, sample }] of samples.entries()) {
        sources.add(source)
        if (!('pm25' in sample.fields)) missing++
        if (sample.fields['pm10'] === 1999.9) saturated++
        if (sample.timeUs !== Date.parse(`${cells[index]![5]}Z`) * 1000) throw new Error(file)
        if (sample.fields['pm10'] !== Number(cells[index]![6])) throw new Error(file)
      }
    }
    expect([rows, sources.size, missing, saturated]).toEqual([50_413, 23, 1, 1])
  })

  test('the station’s JSON holds 7,008 readings, 496 without dust and 301 without weather', async () => {
    const file = 'aberdeen_air/location_12697_th_pm.json'
    const samples = await samplesOf(file, 'aberdeen-station')
    const without = (name: string) =>
      samples.filter(({ sample }) => !(name in sample.fields)).length
    expect([samples.length, without('pm10'), without('humidity')]).toEqual([7_008, 496, 301])
    const document = JSON.parse(readFileSync(join(DATA, file), 'utf8')) as {
      12697: { readings: Record<string, { P1?: number }> }
    }
    for (const { sample } of samples) {
      const reading = document[12697].readings[sample.timeUs / 1e6]!
      expect(sample.fields['pm10']).toBe(reading.P1)
    }
  })
})

describe.skipIf(!found('comma2k19_can'))('comma2k19_can', () => {
  test('4,974 speeds of one car, at the wall time of their boot clock', async () => {
    const samples = await samplesOf('comma2k19_can/can_speed.csv', 'comma2k19-speed')
    expect(samples).toHaveLength(4_974)
    expect(samples[0]!.sample.timeUs).toBeCloseTo(1_533_226_488_233_526, -1)
    expect(samples[0]!.sample.fields['speed']).toBeCloseTo(7.974305555555556 * 3.6, 9)
  })
})
