// What holds for every codec, whatever the samples and whatever the bytes.
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MeshError } from '../errors.ts'
import type { Sample, Value } from '../sample.ts'
import { compileSchema, type Schema } from '../schema.ts'
import { codecFor, createColumnarCodec, newestOf, newestSample } from './index.ts'

const CODECS = [
  ['columnar', codecFor('columnar')],
  ['columnar with zstd', createColumnarCodec({ compress: true })],
  ['msgpack', codecFor('msgpack')],
  ['json', codecFor('json')],
  ['protobuf', codecFor('protobuf')],
] as const

/** The schema names half of what arrives; the rest are fields it does not know. */
const NAMES = [
  'a',
  'b',
  'speed',
  'x y',
  '',
  '0',
  '17',
  '__proto__',
  'constructor',
  'toString',
  '速度',
]
const SCHEMA = compileSchema({
  type: 'object',
  properties: Object.fromEntries(
    ['a', 'speed', '__proto__', 'constructor', '0', 'never'].map((name) => [
      name,
      { type: 'number' },
    ]),
  ),
})

const wellFormed = fc.string({ unit: 'binary', maxLength: 50 })
const decimal = fc
  .tuple(fc.integer({ min: -1e7, max: 1e7 }), fc.integer({ min: 0, max: 10 }))
  .map(([n, k]) => n / 10 ** k)
const edge = fc.constantFrom(
  NaN,
  -0,
  0,
  Infinity,
  -Infinity,
  Number.MIN_VALUE,
  -Number.MIN_VALUE,
  Number.MAX_VALUE,

  2 ** 53,
  -(2 ** 53),
  2 ** 53 - 1,
  1 - 2 ** 53,
  2 ** 52 + 1,
  2.2250738585072014e-308,
  0.1 + 0.2,
)
const whole = fc.maxSafeInteger()
const small = fc.integer({ min: -100, max: 100 })
const dictionary = fc.constantFrom('open', 'closed', '')
const anyValue = fc.oneof(fc.double(), edge, whole, decimal, fc.boolean(), wellFormed)

/** A column: mostly values of one kind, as telemetry is, some rows without. */
const column = fc.record({
  name: fc.oneof(fc.constantFrom(...NAMES), wellFormed),
  values: fc
    .constantFrom<fc.Arbitrary<Value>[]>(
      [fc.double(), edge, whole, decimal, small, fc.boolean(), wellFormed, dictionary, anyValue],
      [decimal],
      [fc.oneof({ weight: 9, arbitrary: decimal }, { weight: 1, arbitrary: edge })],
      [fc.float()],
    )
    .chain((kinds) => fc.constantFrom(...kinds))
    .chain((kind) => fc.infiniteStream(kind)),
  presence: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
})

const timeUs = fc.oneof(
  fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  fc.integer({ min: 1_790_000_000_000_000, max: 1_790_000_600_000_000 }),
)

const table = fc
  .record({
    times: fc.array(timeUs, { minLength: 1, maxLength: 80 }),
    columns: fc.array(column, { maxLength: 6 }),
    draws: fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
  })
  .map(({ times, columns, draws }): Sample[] =>
    times.map((timeUs) => {
      const present = columns.filter(({ presence }) => draws.next().value <= presence)
      const entries = present.map(({ name, values }) => [name, values.next().value] as const)
      return { timeUs, fields: Object.fromEntries(entries) }
    }),
  )

describe.each(CODECS)('%s', (_, codec) => {
  it('returns every sample as it was, bit for bit', () => {
    fc.assert(
      fc.property(table, (samples) => {
        const body = codec.encode(samples, SCHEMA)
        expectSame(codec.decode(body, samples.length, SCHEMA), samples)
        const { index, sample } = newestSample(codec, body, samples.length, SCHEMA)!
        expect(index).toBe(newestOf(samples)!.index)
        expectSame([sample], [samples[index]!])
      }),
      { numRuns: 400 },
    )
  })

  it('gives the same body for the same samples, whatever it encoded before', () => {
    fc.assert(
      fc.property(table, table, (samples, others) => {
        const body = Buffer.from(codec.encode(samples, SCHEMA))
        codec.encode(others, SCHEMA)
        expect(body.equals(codec.encode(samples, SCHEMA))).toBe(true)
      }),
      { numRuns: 100 },
    )
  })

  it('makes samples or MESH_BODY_CORRUPT of random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 300 }), (bytes, count) => {
        decodeAnything(codec, bytes, count, SCHEMA)
      }),
      { numRuns: 2_000 },
    )
  })

  it('makes samples or MESH_BODY_CORRUPT of a body with bytes changed, cut off or added', () => {
    const change = fc.record({ at: fc.nat(), to: fc.nat({ max: 255 }) })
    const changes = fc.array(change, { maxLength: 4 })
    fc.assert(
      fc.property(table, changes, fc.integer({ min: -20, max: 20 }), (samples, changes, grown) => {
        const body = codec.encode(samples, SCHEMA)
        const bytes = Buffer.alloc(Math.max(0, body.length + grown))
        bytes.set(body.subarray(0, bytes.length))
        for (const { at, to } of changes) if (bytes.length > 0) bytes[at % bytes.length] = to
        decodeAnything(codec, bytes, samples.length, SCHEMA)
      }),
      { numRuns: 1_000 },
    )
  })

  it('takes 65,536 samples and not one more', () => {
    const samples = Array.from({ length: 65_536 }, (_, i) => ({
      timeUs: 1_790_000_000_000_000 + i * 1000,
      fields: { speed: (i % 977) / 10, b: i % 2 === 0, state: i % 3 === 0 ? 'on' : 'off' },
    }))
    const body = codec.encode(samples, SCHEMA)
    expectSame(codec.decode(body, samples.length, SCHEMA), samples)
    expect(() => codec.encode([...samples, samples[0]!], SCHEMA)).toThrow(RangeError)
    expect(() => codec.decode(body, 65_537, SCHEMA)).toThrow(RangeError)
  })

  it('refuses what it could not return as it was', () => {
    const refused: unknown[] = [
      { timeUs: 1, fields: { a: null } },
      { timeUs: 1, fields: { a: undefined } },
      { timeUs: 1, fields: { a: 1n } },
      { timeUs: 1, fields: { a: {} } },
      { timeUs: 1, fields: { a: 'half a pair \ud800' } },
      { timeUs: 1, fields: { 'half a pair \udc00': 1 } },
      { timeUs: -1, fields: {} },
      { timeUs: 0.5, fields: {} },
      { timeUs: 2 ** 53, fields: {} },
    ]
    for (const sample of refused) {
      expect(() => codec.encode([sample as Sample], SCHEMA)).toThrow(
        expect.objectContaining({ code: 'MESH_SAMPLE_INVALID' }),
      )
    }
    // And is in order again afterwards.
    const good = [{ timeUs: 1, fields: { a: 2 } }]
    expectSame(codec.decode(codec.encode(good, SCHEMA), 1, SCHEMA), good)
  })

  it('carries no samples at all', () => {
    expect(codec.decode(codec.encode([], SCHEMA), 0, SCHEMA)).toEqual([])
  })
})

function decodeAnything(
  codec: (typeof CODECS)[number][1],
  bytes: Uint8Array,
  count: number,
  schema: Schema,
): void {
  let samples: Sample[]
  try {
    samples = codec.decode(bytes, count, schema)
  } catch (error) {
    if (error instanceof MeshError && error.code === 'MESH_BODY_CORRUPT') return
    throw error
  }
  expect(samples).toHaveLength(count)
  // What came out is fit to go in again.
  codec.encode(samples, schema)
}

/** toEqual takes -0 for 0 in places and skips `__proto__`; this does neither. */
function expectSame(actual: readonly Sample[], expected: readonly Sample[]): void {
  expect(actual.length).toBe(expected.length)
  for (const [row, sample] of expected.entries()) {
    const got = actual[row]!
    const keys = Object.keys(sample.fields).sort()
    const isSame =
      Object.is(got.timeUs, sample.timeUs) &&
      Object.keys(got.fields).sort().join('\0') === keys.join('\0') &&
      keys.every((key) => Object.is(got.fields[key], sample.fields[key]))
    expect(isSame ? '' : `row ${row}: ${show(got)} is not ${show(sample)}`).toBe('')
  }
}

function show({ timeUs, fields }: Sample): string {
  const parts = Object.entries(fields).map(([name, value]) => {
    const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
    return `${JSON.stringify(name)}: ${Object.is(value, -0) ? '-0' : text}`
  })
  return `${timeUs} {${parts.join(', ')}}`
}
