// The codec for reading by eye and for programs of an afternoon: a body is the samples as JSON.
//
//   [{"timeUs":1790000000000000,"fields":{"speed":12.5,"door":"open","slip":{"number":"NaN"}}}]
//
// JSON has no NaN and no infinities, and JSON.stringify drops the sign of -0, so these four are
// spelled {"number":"NaN"}: a value is never an object, so nothing else looks like it.
import type { Codec } from '../codec.ts'
import type { Fields, Sample, Value } from '../sample.ts'
import { corrupt } from './bytes.ts'
import { checkCount, checkSample, isValue } from './limits.ts'

const SPELLINGS = new Map<unknown, number>([
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
  ['-0', -0],
])

export const jsonCodec: Codec = {
  name: 'json',
  encode(samples) {
    checkCount(samples.length)
    for (const sample of samples) checkSample(sample)
    const plain = samples.map(({ timeUs, fields }) => ({ timeUs, fields: spelled(fields) }))
    return Buffer.from(JSON.stringify(plain), 'utf8')
  },
  decode(body, count) {
    checkCount(count)
    const samples = parse(body)
    if (!Array.isArray(samples) || samples.length !== count) {
      throw corrupt(`JSON is not an array of ${count} samples`)
    }
    return samples.map(readSample)
  },
}

function spelled(fields: Fields): object {
  if (!Object.values(fields).some(isSpecial)) return fields
  // fromEntries defines its properties, so that `__proto__` is one like any other.
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, isSpecial(value) ? spell(value) : value]),
  )
}

function isSpecial(value: Value): boolean {
  return typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))
}

function spell(value: Value): object {
  return { number: Object.is(value, -0) ? '-0' : String(value) }
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'))
  } catch (cause) {
    throw corrupt('not JSON', cause)
  }
}

function readSample(json: unknown): Sample {
  if (!isObject(json)) throw corrupt('a sample is not an object')
  const { timeUs, fields } = json
  if (!(Number.isSafeInteger(timeUs) && (timeUs as number) >= 0) || !isObject(fields)) {
    throw corrupt('a sample lacks a time or its fields')
  }
  if (!Object.values(fields).every(isValue)) {
    const entries = Object.entries(fields).map(([name, value]) => [name, readValue(value)])
    return { timeUs: timeUs as number, fields: Object.fromEntries(entries) as Fields }
  }
  return { timeUs: timeUs as number, fields: fields as Fields }
}

function readValue(json: unknown): Value {
  if (isValue(json)) return json
  const number = isObject(json) ? SPELLINGS.get(json['number']) : undefined
  if (number === undefined) throw corrupt('a field is neither a value nor a spelled number')
  return number
}

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}
