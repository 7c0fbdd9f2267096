// The readings of a fleet of trucks, after the IoT use case of the Time Series Benchmark Suite
// (timescale/tsbs, pkg/data/usecases/iot): same walks, same limits, same decimals, same disorder. Its
// constants are copied so that bytes per row and query results can be set beside published ones.
// Deterministic by seed, no input or output; the numbers differ from the Go program's, whose random
// source is another, their distributions do not.
import { WorldRandom } from './random.ts'

export interface TruckOptions {
  readonly seed: number
  readonly trucks: number
  /** Rows generated for each truck, before any disorder takes some away. */
  readonly rows: number
  /** Event time of the first row, microseconds; default 2016-01-01, as in TSBS. */
  readonly startUs?: number
  /** Default 10 s. */
  readonly intervalUs?: number
  /** Missing, late and incomplete rows; off by default. DISORDER has the constants of TSBS. */
  readonly disorder?: Disorder
}

/** Chances per batch of ten rows, then per row. Fields of a row are nulled, tags have no place here. */
export interface Disorder {
  readonly batchRows: number
  readonly batchMissing: number
  /** A batch held back, and the chance, at each later batch, that the oldest such comes instead. */
  readonly batchLate: number
  readonly batchInserted: number
  readonly rowMissing: number
  readonly rowLate: number
  readonly rowInserted: number
  readonly fieldMissing: number
}

export interface TruckRow {
  readonly timeUs: number
  readonly fields: Readonly<Record<string, number>>
}

export interface Truck {
  readonly source: string
  /** In order of arrival: of time too, unless there is disorder. */
  readonly rows: TruckRow[]
}

/** tsbs, iot/batch_config.go. */
export const DISORDER: Disorder = {
  batchRows: 10,
  batchMissing: 0.01,
  batchLate: 0.05,
  batchInserted: 0.5,
  rowMissing: 0.1,
  rowLate: 0.3,
  rowInserted: 0.5,
  fieldMissing: 0.1,
}

interface Walk {
  readonly name: string
  /** Each step is uniform in ±step; the walk stops at its limits. */
  readonly step: number
  readonly least: number
  readonly greatest: number
  /** Decimals kept in the reading (cut, not rounded); the walk goes on with all of them. */
  readonly decimals: number
  /** Where it begins: uniform between these two. */
  readonly start: readonly [number, number]
  readonly unit: string
}

/** tsbs, iot/readings.go. */
const WALKS: readonly Walk[] = [
  {
    name: 'latitude',
    step: 0.005,
    least: -90,
    greatest: 90,
    decimals: 5,
    start: [0, 90],
    unit: 'deg',
  },
  {
    name: 'longitude',
    step: 0.005,
    least: -180,
    greatest: 180,
    decimals: 5,
    start: [0, 180],
    unit: 'deg',
  },
  {
    name: 'elevation',
    step: 10,
    least: 0,
    greatest: 5000,
    decimals: 0,
    start: [0, 500],
    unit: 'm',
  },
  { name: 'velocity', step: 10, least: 0, greatest: 100, decimals: 0, start: [0, 0], unit: 'km/h' },
  { name: 'heading', step: 5, least: 0, greatest: 360, decimals: 0, start: [0, 360], unit: 'deg' },
  { name: 'grade', step: 5, least: 0, greatest: 100, decimals: 0, start: [0, 0], unit: '%' },
  {
    name: 'fuel_consumption',
    step: 5,
    least: 0,
    greatest: 50,
    decimals: 1,
    start: [25, 25],
    unit: 'L/h',
  },
]

/** The JSON Schema of the rows. */
export const TRUCK_SCHEMA = {
  type: 'object',
  properties: Object.fromEntries(
    WALKS.map(({ name, unit }): [string, object] => [name, { type: 'number', 'x-unit': unit }]),
  ),
}

/** The readings of each truck. A truck's rows depend on the seed and its number alone. */
export function truckReadings(options: TruckOptions): Truck[] {
  return Array.from({ length: options.trucks }, (_, number) => {
    const rows = walkRows(options, draws(options.seed, 2 * number))
    // A source of its own, so that disorder changes which rows arrive and not what they say.
    const random = draws(options.seed, 2 * number + 1)
    const { disorder } = options
    return {
      source: `truck_${number}`,
      rows: disorder === undefined ? rows : disordered(rows, disorder, random),
    }
  })
}

/** Draws of one truck: the streams of one seed are independent. */
function draws(seed: number, stream: number): () => number {
  const random = new WorldRandom(seed, stream)
  return () => random.next()
}

function walkRows(options: TruckOptions, random: () => number): TruckRow[] {
  const { rows, startUs = Date.UTC(2016, 0, 1) * 1000, intervalUs = 10_000_000 } = options
  const states = WALKS.map(({ start: [from, to] }) => from + random() * (to - from))
  return Array.from({ length: rows }, (_, row) => {
    const fields: Record<string, number> = {}
    for (const [index, walk] of WALKS.entries()) {
      const stepped = states[index]! + (random() * 2 - 1) * walk.step
      states[index] = Math.min(walk.greatest, Math.max(walk.least, stepped))
      const power = 10 ** walk.decimals
      // Adding zero: cutting a small negative number would give -0.
      fields[walk.name] = Math.trunc(states[index] * power) / power + 0
    }
    return { timeUs: startUs + row * intervalUs, fields }
  })
}

/** Loses, holds back and thins rows, batch by batch, as tsbs iot/simulator.go does. */
function disordered(rows: readonly TruckRow[], chance: Disorder, random: () => number): TruckRow[] {
  const arrived: TruckRow[] = []
  const lateBatches: TruckRow[][] = []
  const lateRows: TruckRow[] = []
  let at = 0
  while (at < rows.length) {
    if (lateBatches.length > 0 && random() < chance.batchInserted)
      arrived.push(...lateBatches.shift()!)
    if (random() < chance.batchMissing) {
      at += chance.batchRows
      continue
    }
    const isLate = random() < chance.batchLate
    const batch: TruckRow[] = []
    while (batch.length < chance.batchRows && at < rows.length) {
      const isInserted = lateRows.length > 0 && random() < chance.rowInserted
      const row = isInserted ? lateRows.shift()! : rows[at++]!
      if (random() < chance.rowMissing) continue
      if (random() < chance.rowLate) lateRows.push(row)
      else batch.push(random() < chance.fieldMissing ? without(row, random) : row)
    }
    if (isLate) lateBatches.push(batch)
    else arrived.push(...batch)
  }
  return [...arrived, ...lateBatches.flat(), ...lateRows]
}

function without(row: TruckRow, random: () => number): TruckRow {
  const names = Object.keys(row.fields)
  const dropped = names[Math.floor(random() * names.length)]
  const kept = Object.entries(row.fields).filter(([name]) => name !== dropped)
  return { timeUs: row.timeUs, fields: Object.fromEntries(kept) }
}
