// Whatever NumberRanges accepts, the whole check accepts: it only spares it the work.
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Fields } from './sample.ts'
import { NumberRanges } from './schema-ranges.ts'
import { compileSchema, type JsonSchema } from './schema.ts'

const NAMES = ['a', 'b', 'c', 'toString', '__proto__'] as const
const number = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.double({ min: -3, max: 3 }),
  fc.constantFrom(NaN, Infinity, -0),
)
const property = fc.record(
  {
    type: fc.constantFrom('number', 'integer', 'boolean', 'string'),
    minimum: fc.integer({ min: -2, max: 0 }),
    maximum: fc.integer({ min: 0, max: 2 }),
    exclusiveMinimum: fc.constant(-1),
    multipleOf: fc.constant(2),
    'x-unit': fc.constant('km/h'),
  },
  { requiredKeys: ['type'] },
)
const schema: fc.Arbitrary<JsonSchema> = fc
  .record({
    properties: fc.dictionary(fc.constantFrom(...NAMES), property, { noNullPrototype: true }),
    required: fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 2 }),
    additionalProperties: fc.boolean(),
  })
  .map((rest) => ({ type: 'object', ...rest }))
const fields: fc.Arbitrary<Fields> = fc.dictionary(
  fc.constantFrom(...NAMES),
  fc.oneof({ arbitrary: number, weight: 9 }, fc.boolean(), fc.string()),
  { noNullPrototype: true },
)

/** Without a prototype fields are never accepted at once. */
function wholeCheck(json: JsonSchema, values: Fields): string | undefined {
  return compileSchema(json).validate(Object.assign(Object.create(null) as object, values))
}

/** ajv refuses limits of what is no number. */
function isSchema(json: JsonSchema): boolean {
  try {
    compileSchema(json)
    return true
  } catch {
    return false
  }
}

describe('number ranges', () => {
  it('accept nothing that the whole check refuses', () => {
    let accepted = 0
    fc.assert(
      fc.property(schema.filter(isSchema), fc.array(fields, { minLength: 1 }), (json, samples) => {
        const ranges = new NumberRanges(json)
        for (const values of samples) {
          if (!ranges.accepts(values)) continue
          accepted += 1
          expect(wholeCheck(json, values)).toBeUndefined()
        }
      }),
      { numRuns: 60 },
    )
    expect(accepted).toBeGreaterThan(0)
  })

  it('accept the samples that they are for, in any order of the fields', () => {
    const ranges = new NumberRanges({
      type: 'object',
      properties: { speed: { type: 'number', minimum: 0 }, gear: { type: 'integer' } },
      required: ['speed'],
    })
    expect(ranges.accepts({ speed: 3.5, gear: 2 })).toBe(true)
    expect(ranges.accepts({ gear: 2, speed: 3.5 })).toBe(true)
    expect(ranges.accepts({ speed: 1 })).toBe(true)
    expect(ranges.accepts({ gear: 2 })).toBe(false)
    expect(ranges.accepts({ speed: -1 })).toBe(false)
    expect(ranges.accepts({ speed: 1, gear: 2.5 })).toBe(false)
    expect(ranges.accepts({ speed: 1, other: 2 })).toBe(false)
    expect(ranges.accepts(Object.create({ speed: 1 }) as Fields)).toBe(false)
  })
})
