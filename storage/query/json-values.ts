// Values in JSON, exactly. JSON has no NaN, no infinities, and its `0` forgets the sign of -0, so
// these four are written {"$number":"NaN"}, {"$number":"Infinity"}, {"$number":"-Infinity"} and
// {"$number":"-0"} (docs/http-api.md). Nothing else of a sample is an object, so it cannot be
// mistaken. Every other number is written with the fewest digits that read back to the same bits.
import type { Fields, Value } from '../../mesh/index.ts'

export interface SpelledNumber {
  readonly $number: string
}

/** What stands for a value in JSON. */
export type JsonValue = Value | SpelledNumber

const SPELLINGS = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  ['-0', -0],
])

export function toJsonValue(value: Value): JsonValue {
  if (!needsSpelling(value)) return value
  return { $number: Object.is(value, -0) ? '-0' : String(value) }
}

/** @throws TypeError when it is no value. */
export function fromJsonValue(json: unknown): Value {
  if (typeof json === 'number' || typeof json === 'string' || typeof json === 'boolean') return json
  const spelled = (json as SpelledNumber | null)?.$number
  const value = spelled === undefined ? undefined : SPELLINGS.get(spelled)
  if (value === undefined) throw new TypeError(`${JSON.stringify(json)} is not a value`)
  return value
}

/** The same object when every value can be written as it is, which is nearly always. */
export function toJsonFields(fields: Fields): Readonly<Record<string, JsonValue>> {
  for (const name in fields) {
    if (!needsSpelling(fields[name]!)) continue
    return Object.fromEntries(
      Object.entries(fields).map(([key, value]) => [key, toJsonValue(value)]),
    )
  }
  return fields
}

/** @throws TypeError when a field is no value. */
export function fromJsonFields(json: unknown): Fields {
  const fields = json as Readonly<Record<string, unknown>>
  for (const name in fields) {
    const value = fields[name]
    if (typeof value !== 'object') continue
    return Object.fromEntries(
      Object.entries(fields).map(([key, value]) => [key, fromJsonValue(value)]),
    )
  }
  return json as Fields
}

function needsSpelling(value: Value): boolean {
  return typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))
}
