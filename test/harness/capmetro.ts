// The CapMetro recordings read naively, on purpose: split at commas (they hold no quotes), Date.parse,
// one multiplication. Nothing of sim/replay is used, for this is what it is compared with.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const FOLDER = join(import.meta.dirname, '..', '..', '..', 'shared', 'data', 'capmetro_austin')

export interface Day {
  readonly file: string
  /** The mapping that comes with Skein. */
  readonly mapping: string
  /** Rows by the data set's README. */
  readonly rowCount: number
  /** What a speed in the file is in km/h: a mile is 1.609344 km, a m/s is 3.6 km/h. */
  readonly kmhPerUnit: number
}

export const DAY_2015: Day = {
  file: join(FOLDER, '2015-03-08.csv'),
  mapping: 'capmetro-2015',
  rowCount: 12354,
  kmhPerUnit: 1.609344,
}

export const DAY_2016: Day = {
  file: join(FOLDER, '2016-11-24.csv'),
  mapping: 'capmetro-2016',
  rowCount: 24490,
  kmhPerUnit: 3.6,
}

export interface Bus {
  readonly source: string
  readonly timeUs: number
  readonly speedKmh: number
  readonly latitude: number
  readonly longitude: number
  readonly route: string
  readonly trip: string
  readonly headsign: string
}

export function hasCapmetro(): boolean {
  const exists = existsSync(FOLDER)
  if (!exists) console.log('skipped: ../shared/data/capmetro_austin not found')
  return exists
}

/** Lines of a file as an editor numbers them from 1; the header is the first. */
export function linesOf(file: string): string[] {
  return readFileSync(file, 'utf8').trimEnd().split('\n')
}

export function readDay({ file, kmhPerUnit }: Day): Bus[] {
  return linesOf(file)
    .slice(1)
    .map((line) => readBus(line, kmhPerUnit))
}

export function readBus(line: string, kmhPerUnit: number): Bus {
  const [id, at, speed, route, trip, latitude, longitude, headsign] = line.split(',')
  return {
    source: `bus-${id}`,
    timeUs: Date.parse(at!) * 1e3,
    speedKmh: Number(speed) * kmhPerUnit,
    latitude: Number(latitude),
    longitude: Number(longitude),
    route: route!,
    trip: trip!,
    headsign: headsign!,
  }
}
