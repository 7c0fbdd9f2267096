import { describe, expect, test } from 'vitest'
import { compileSchema } from '../mesh/index.ts'
import { BUS_SCHEMA, busFields } from './bus-readings.ts'
import { numberOf, readingsOf } from './readings.ts'

const BASE_US = 1_900_000_000_000_000
const STEP_US = 100_000

const load = (seed: number) => ({ readings: 'bus', sources: 20, seed }) as const

describe('bus readings', () => {
  test('the same seed makes the same readings, whenever it is, and another seed others', () => {
    const fieldsFrom = (seed: number, baseUs: number) =>
      readingsOf(load(seed), baseUs)
        .samples(3, 0, 200)
        .map(({ fields }) => fields)
    expect(fieldsFrom(1, BASE_US + 3600e6)).toEqual(fieldsFrom(1, BASE_US))
    expect(fieldsFrom(2, BASE_US)).not.toEqual(fieldsFrom(1, BASE_US))
  })

  test('each reading is as its schema says, and no bus holds more than its capacity', () => {
    const schema = compileSchema(BUS_SCHEMA)
    const { names, fields } = busFields({ sources: 24, seed: 5, baseUs: BASE_US })
    for (const source of names.keys()) {
      for (let i = 0; i < 256; i++) {
        const reading = fields(source, BASE_US + i * STEP_US)
        expect(schema.validate(reading)).toBeUndefined()
        expect(Number(reading['passengers'])).toBeLessThanOrEqual(Number(reading['capacity']))
      }
    }
  })

  test('buses of the rush hour are fuller than those of the night', () => {
    const { fields } = busFields({ sources: 240, seed: 1, baseUs: BASE_US })
    const meanOf = (from: number, to: number): number => {
      let sum = 0
      for (let i = from; i < to; i++) sum += Number(fields(i, BASE_US)['passengers'])
      return sum / (to - from)
    }
    // The first bus is seen at 7 o'clock, and each tenth one an hour later.
    expect(meanOf(0, 20)).toBeGreaterThan(4 * meanOf(180, 220))
  })

  test('the number of a sample is in its time', () => {
    const samples = readingsOf(load(1), BASE_US).samples(0, 700, 300)
    expect(samples.map(({ timeUs }) => numberOf(BASE_US, timeUs))).toEqual(
      samples.map((_, i) => 700 + i),
    )
  })
})
