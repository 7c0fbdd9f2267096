// What is published: readings of a simulated fleet on its roads, or recorded ones, never constant bytes. Made before the
// clock runs, and used in turn. The number of a sample is in its time, so that whoever gets it knows
// which one it is, in every form it travels in.
import type { Fields, JsonSchema, Sample } from '../mesh/index.ts'
import { createFleet, FLEET_SCHEMA, TRUCK_SCHEMA, truckReadings } from '../sim/index.ts'
import { busFields } from './bus-readings.ts'
import type { Load, ReadingKind } from './load.ts'
import { recordingInUse } from './recording.ts'

/** Event time between samples. JSON keeps milliseconds. */
const STEP_US = 1000
/** Clocks of vehicles are no metronomes: below the step, so that the number can be told. */
const JITTER_US = 500
const EACH_MIN = 2
const EACH_MAX = 256
const EVERY_US = 100_000
/** With header and names a frame of about 5 KB. */
const BLOCK_BYTES = 4_900
const BLOCK_SCHEMA: JsonSchema = { type: 'object', properties: { rows: { type: 'string' } } }

export interface Readings {
  readonly schema: JsonSchema
  /** Names by number. */
  readonly sources: readonly string[]
  /** `count` samples of one source, numbered from `first`. */
  readonly samples: (source: number, first: number, count: number) => Sample[]
}

/** Readings of `sources` sources from `baseUs` on, the same for the same seed. */
export function readingsOf(
  { readings = 'fleet', sources, seed }: Pick<Load, 'readings' | 'sources' | 'seed'>,
  baseUs: number,
): Readings {
  const { schema, fields, names, most } = KINDS[readings]({ sources, seed, baseUs })
  const each = Math.max(EACH_MIN, Math.min(EACH_MAX, Math.floor(most / sources)))
  const walks = names.map((_, source) =>
    Array.from({ length: each }, (__, i) => fields(source, baseUs + i * EVERY_US)),
  )
  const places = new Uint32Array(sources)
  return {
    schema,
    sources: names,
    samples(source, first, count) {
      const walk = walks[source]!
      const samples: Sample[] = []
      for (let i = 0; i < count; i++) {
        const place = places[source]!
        places[source] = place + 1 === each ? 0 : place + 1
        samples.push({ timeUs: timeOf(baseUs, first + i), fields: walk[place]! })
      }
      return samples
    },
  }
}

export interface Making {
  readonly sources: number
  readonly seed: number
  readonly baseUs: number
}

export interface Made {
  readonly schema: JsonSchema
  readonly names: readonly string[]
  /** Readings that are kept in memory, to be used in turn. */
  readonly most: number
  readonly fields: (source: number, timeUs: number) => Fields
}

const KINDS: Readonly<Record<ReadingKind, (making: Making) => Made>> = {
  fleet: fleetFields,
  trucks: truckFields,
  bus: busFields,
  blocks: blockFields,
  recording: recordedFields,
}

function fleetFields({ sources, seed, baseUs }: Making): Made {
  const fleet = createFleet({ vehicles: sources, seed, startUs: baseUs })
  const fields = (source: number, timeUs: number): Fields => fleet.sample(source, timeUs).fields
  return { schema: FLEET_SCHEMA, names: fleet.sources, most: 262_144, fields }
}

function truckFields({ sources, seed, baseUs }: Making): Made {
  const trucks = truckReadings({ seed, trucks: sources, rows: EACH_MAX })
  return {
    schema: TRUCK_SCHEMA,
    names: trucks.map(({ source }) => source),
    most: 262_144,
    fields: (source, timeUs) => trucks[source]!.rows[(timeUs - baseUs) / EVERY_US]!.fields,
  }
}

/** The rows of each recorded source in turn, and sources in turn where more are asked for. */
function recordedFields({ sources, baseUs }: Making): Made {
  const { schema, sources: recorded } = recordingInUse()!
  const of = Array.from({ length: sources }, (_, i) => recorded[i % recorded.length]!)
  const round = (i: number): number => Math.floor(i / recorded.length) + 1
  return {
    schema,
    names: of.map(({ name }, i) => (round(i) === 1 ? name : `${name}-${round(i)}`)),
    most: 262_144,
    fields(source, timeUs) {
      const { rows } = of[source]!
      return rows[((timeUs - baseUs) / EVERY_US) % rows.length]!
    },
  }
}

/** Text that the encoder copies: what is measured is how bytes are moved and kept. */
function blockFields(making: Making): Made {
  const { names, fields } = fleetFields(making)
  const row = (source: number, timeUs: number): string =>
    JSON.stringify({ vehicle_id: names[source], timestamp: timeUs, ...fields(source, timeUs) })
  return {
    schema: BLOCK_SCHEMA,
    names,
    most: 8_192,
    fields(source, timeUs) {
      let text = ''
      for (let i = 0; text.length < BLOCK_BYTES; i++)
        text += `${row(source, timeUs + i * STEP_US)}\n`
      return { rows: text.slice(0, BLOCK_BYTES) }
    },
  }
}

export function timeOf(baseUs: number, number: number): number {
  return baseUs + number * STEP_US + ((Math.imul(number, 0x9e37_79b1) >>> 0) % JITTER_US)
}

export function numberOf(baseUs: number, timeUs: number): number {
  return Math.floor((timeUs - baseUs) / STEP_US)
}

/** A whole second, so that nothing is lost where times have milliseconds. */
export function baseUsNow(): number {
  return Math.floor(Date.now() / 1000) * 1e6
}
