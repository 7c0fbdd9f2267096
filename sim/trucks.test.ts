import { describe, expect, it } from 'vitest'
import { compileSchema } from '../mesh/schema.ts'
import { DISORDER, TRUCK_SCHEMA, type Truck, truckReadings } from './trucks.ts'

const LIMITS: Record<string, readonly [least: number, greatest: number, step: number]> = {
  latitude: [-90, 90, 0.00501],
  longitude: [-180, 180, 0.00501],
  elevation: [0, 5000, 11],
  velocity: [0, 100, 11],
  heading: [0, 360, 6],
  grade: [0, 100, 6],
  fuel_consumption: [0, 50, 5.1],
}

describe('truckReadings', () => {
  it('gives the same rows for the same seed, and a truck the same rows among any number', () => {
    const options = { seed: 123, trucks: 3, rows: 50, disorder: DISORDER }
    expect(truckReadings(options)).toEqual(truckReadings(options))
    expect(truckReadings({ ...options, trucks: 5 }).slice(0, 3)).toEqual(truckReadings(options))
    expect(truckReadings({ ...options, seed: 124 })).not.toEqual(truckReadings(options))
  })

  it('does not change from version to version', () => {
    const [truck] = truckReadings({ seed: 123, trucks: 1, rows: 3 })
    expect(truck).toEqual({
      source: 'truck_0',
      rows: [
        {
          timeUs: 1451606400000000,
          fields: {
            latitude: 28.72703,
            longitude: 42.68249,
            elevation: 74,
            velocity: 4,
            heading: 176,
            grade: 1,
            fuel_consumption: 22.8,
          },
        },
        {
          timeUs: 1451606410000000,
          fields: {
            latitude: 28.73169,
            longitude: 42.68285,
            elevation: 69,
            velocity: 5,
            heading: 173,
            grade: 3,
            fuel_consumption: 21.2,
          },
        },
        {
          timeUs: 1451606420000000,
          fields: {
            latitude: 28.73647,
            longitude: 42.68762,
            elevation: 69,
            velocity: 13,
            heading: 176,
            grade: 1,
            fuel_consumption: 21.5,
          },
        },
      ],
    })
  })

  it('walks within the limits of each reading, one row every ten seconds', () => {
    for (const { rows } of truckReadings({ seed: 1, trucks: 4, rows: 2000 })) {
      for (const [i, { timeUs, fields }] of rows.entries()) {
        expect(timeUs).toBe(rows[0]!.timeUs + i * 10_000_000)
        for (const [name, [least, greatest, step]] of Object.entries(LIMITS)) {
          const value = fields[name]!
          expect(value >= least && value <= greatest, `${name} ${value}`).toBe(true)
          expect(Object.is(value, -0)).toBe(false)
          const before = rows[i - 1]?.fields[name] ?? value
          expect(Math.abs(value - before)).toBeLessThanOrEqual(step)
        }
      }
    }
  })

  it('fits its schema', () => {
    const schema = compileSchema(TRUCK_SCHEMA)
    expect(schema.fields).toEqual(Object.keys(LIMITS).sort())
    const [truck] = truckReadings({ seed: 5, trucks: 1, rows: 10 })
    for (const { fields } of truck!.rows) expect(schema.validate(fields)).toBeUndefined()
  })
})

describe('disorder', () => {
  const options = { seed: 9, trucks: 40, rows: 1000 }
  const straight = truckReadings(options)
  const disordered = truckReadings({ ...options, disorder: DISORDER })
  const count = (trucks: readonly Truck[]): number =>
    trucks.reduce((sum, { rows }) => sum + rows.length, 0)

  it('loses rows at about the rate of TSBS', () => {
    // 1 in 100 batches and 1 in 10 rows, the late ones tried twice: between 10 and 16 %.
    const lost = 1 - count(disordered) / count(straight)
    expect(lost).toBeGreaterThan(0.1)
    expect(lost).toBeLessThan(0.17)
  })

  it('brings rows late, and without a field, and never twice', () => {
    let late = 0
    let incomplete = 0
    for (const [i, { rows }] of disordered.entries()) {
      const original = new Map(straight[i]!.rows.map((row) => [row.timeUs, row.fields]))
      expect(new Set(rows.map(({ timeUs }) => timeUs)).size).toBe(rows.length)
      for (const [at, { timeUs, fields }] of rows.entries()) {
        if (at > 0 && timeUs < rows[at - 1]!.timeUs) late += 1
        if (Object.keys(fields).length < 7) incomplete += 1
        expect(original.get(timeUs)).toMatchObject(fields)
      }
    }
    expect(late / count(disordered)).toBeGreaterThan(0.1)
    expect(incomplete / count(disordered)).toBeGreaterThan(0.07)
    expect(incomplete / count(disordered)).toBeLessThan(0.13)
  })
})
