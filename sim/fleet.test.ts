import { describe, expect, test } from 'vitest'
import { compileSchema } from '../mesh/index.ts'
import { createFleet, FLEET_SCHEMA, vehicleId, type Fleet } from './fleet.ts'

const START_US = 1_751_803_200_000_000

function fleetOf(vehicles: number, seed = 7): Fleet {
  return createFleet({ vehicles, seed, startUs: START_US })
}

function at(second: number): number {
  return START_US + second * 1e6
}

describe('fleet', () => {
  test('the same seed drives the same samples, another seed others', () => {
    const [one, two, other] = [fleetOf(5), fleetOf(5), fleetOf(5, 8)]
    for (let second = 0; second < 300; second++) {
      for (let index = 0; index < 5; index++) {
        expect(two.sample(index, at(second))).toEqual(one.sample(index, at(second)))
      }
    }
    expect(other.sample(0, at(300))).not.toEqual(one.sample(0, at(300)))
  })

  test('what is measured at a time does not depend on how often was asked', () => {
    const [often, once] = [fleetOf(2), fleetOf(2)]
    for (let tenth = 0; tenth < 2_000; tenth++) often.sample(1, at(tenth / 10))
    expect(often.sample(1, at(200.25))).toEqual(once.sample(1, at(200.25)))
  })

  test('a vehicle alone is the same vehicle in a larger fleet', () => {
    expect(fleetOf(1).sample(0, at(500))).toEqual(fleetOf(20).sample(0, at(500)))
  })

  test('sources are VH001, VH002, … and VH1000 when there are more', () => {
    expect(fleetOf(3).sources).toEqual(['VH001', 'VH002', 'VH003'])
    expect(vehicleId(999)).toBe('VH1000')
  })

  test('a sample has exactly the fields of the schema, rounded', () => {
    const { fields, timeUs } = fleetOf(1).sample(0, at(60))
    expect(timeUs).toBe(at(60))
    expect(Object.keys(fields)).toEqual(Object.keys(FLEET_SCHEMA.properties))
    for (const name of ['speed', 'temperature', 'humidity']) {
      const value = fields[name] as number
      expect(Number(value.toFixed(1))).toBe(value)
    }
    expect(compileSchema(FLEET_SCHEMA).validate(fields)).toBeUndefined()
    expect(fields['latitude']).toBeCloseTo(37.77, 1)
    expect(fields['longitude']).toBeCloseTo(-122.42, 1)
  })

  test('a time before the last one drives nothing backwards', () => {
    const fleet = fleetOf(1)
    const now = fleet.sample(0, at(120)).fields
    const before = fleet.sample(0, at(10)).fields
    const after = fleet.sample(0, at(120)).fields
    expect(after).toEqual(now)
    expect(before['latitude']).toBeCloseTo(now['latitude'] as number, 3)
  })

  test('no such vehicle and no such fleet are refused', () => {
    expect(() => fleetOf(2).sample(2, at(0))).toThrow(RangeError)
    expect(() => fleetOf(0)).toThrow(RangeError)
  })
})
