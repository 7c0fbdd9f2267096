import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeFrame, openFrame } from './frame.ts'
import type { Epoch, SchemaId } from './names.ts'
import type { Fields, Sample } from './sample.ts'
import {
  canonicalJson,
  compileSchema,
  inferSchema,
  type JsonSchema,
  SCHEMA_BYTES_MAX,
  SCHEMA_STREAM,
  schemaFrame,
  schemaFromFrame,
} from './schema.ts'

const MOTION: JsonSchema = {
  type: 'object',
  title: 'Motion',
  'x-key': 'vehicle.motion',
  properties: {
    speed: { type: 'number', minimum: 0, maximum: 500, 'x-unit': 'km/h', 'x-vss': 'Vehicle.Speed' },
    gear: { type: 'integer' },
    door: { type: 'string', enum: ['open', 'closed'] },
    tag: { type: ['string', 'number'] },
    moving: { type: 'boolean' },
  },
  required: ['speed'],
}

const sample = (fields: Fields): Sample => ({ timeUs: 1, fields })

describe('compileSchema', () => {
  it('gives the first 8 bytes of SHA-256 of the canonical JSON as id', () => {
    const schema = compileSchema({ type: 'object', properties: { a: { type: 'number' } } })
    const canonical = '{"properties":{"a":{"type":"number"}},"type":"object"}'
    expect(schema.id).toBe(createHash('sha256').update(canonical).digest('hex').slice(0, 16))
    expect(schema.id).toBe('a757a716a8f3f5af')
  })

  it('gives one id whatever the order of keys', () => {
    const turned = Object.fromEntries(Object.entries(MOTION).reverse())
    expect(compileSchema(turned).id).toBe(compileSchema(MOTION).id)
  })

  it('sorts its fields by code unit', () => {
    const names = ['b', 'a', 'Z', '10', '9', '_', 'ä', '__proto__', '\u{1f600}', '\uffee']
    const properties = Object.fromEntries(names.map((name) => [name, { type: 'number' }]))
    expect(compileSchema({ type: 'object', properties }).fields).toEqual(
      ['10', '9', 'Z', '__proto__', '_', 'a', 'b', 'ä', '\u{1f600}', '\uffee'].sort(),
    )
  })

  it('keeps a copy of the JSON', () => {
    const json = { type: 'object', properties: { a: { type: 'number' } } }
    const schema = compileSchema(json)
    json.properties.a.type = 'string'
    expect(schema.json).toEqual({ type: 'object', properties: { a: { type: 'number' } } })
  })

  it.each([
    ['type is "array"', { type: 'array', properties: {} }],
    ['properties is missing', { type: 'object' }],
    ['property "a": type is "object"', withField({ type: 'object' })],
    ['property "a": type is ["number","null"]', withField({ type: ['number', 'null'] })],
    ['property "a": type is undefined', withField({})],
    ['property "a": type is []', withField({ type: [] })],
    ['property "a": is not an object', withField(true)],
    ['property "a": keyword "$ref"', withField({ $ref: '#' })],
    ['property "a": keyword "pattern"', withField({ type: 'string', pattern: '(a+)+$' })],
    ['keyword "allOf"', { type: 'object', properties: {}, allOf: [] }],
    ['additionalProperties', { type: 'object', properties: {}, additionalProperties: {} }],
    ['minimum', withField({ type: 'number', minimum: 'low' })],
    ['strict mode', withField({ type: 'string', minimum: 1 })],
    ['no place in JSON', withField({ type: 'number', 'x-unit': NaN })],
    ['no place in JSON', withField({ type: 'number', 'x-unit': undefined })],
    ['a JSON object', []],
    ['nested deeper', withField({ type: 'number', 'x-a': nested(40) })],
    [`exceeds ${SCHEMA_BYTES_MAX}`, withField({ type: 'number', title: 'x'.repeat(300_000) })],
  ])('refuses, naming %s', (reason, json) => {
    const compile = (): unknown => compileSchema(json as JsonSchema)
    expect(compile).toThrow(expect.objectContaining({ code: 'MESH_SCHEMA_INVALID' }))
    const escaped = reason.replaceAll(/[[\]$]/g, String.raw`\$&`)
    expect(compile).toThrow(new RegExp(escaped))
  })
})

describe('validate', () => {
  const schema = compileSchema(MOTION)

  it('passes what fits, fields unknown to the schema included', () => {
    expect(schema.validate({ speed: 12.5 })).toBeUndefined()
    expect(
      schema.validate({ speed: 0, gear: -1, door: 'open', tag: 1, moving: true, more: 'x' }),
    ).toBeUndefined()
  })

  it.each<[Record<string, unknown>, string]>([
    [{ speed: 'fast' }, 'field "speed" is "fast", wanted is number'],
    [{ speed: 501 }, 'field "speed" is 501: must be <= 500'],
    [{ speed: 1, gear: 1.5 }, 'field "gear" is 1.5, wanted is integer'],
    [{ speed: 1, gear: Infinity }, 'field "gear" is Infinity, wanted is integer'],
    [{ speed: 1, tag: true }, 'field "tag" is true, wanted is number or string'],
    [{ speed: 1, door: 'ajar' }, 'field "door" is "ajar": must be equal to one of'],
    [{ gear: 1 }, "must have required property 'speed'"],
    [{ speed: 1, more: null }, 'field "more" is null, wanted is a number, a string or a boolean'],
    [{ speed: 1, more: [1] }, 'field "more" is an array'],
    [{ speed: 1, more: '\ud800' }, 'field "more" is not well-formed Unicode'],
    [{ speed: 1, '\udc00': 1 }, 'field name "\\udc00" is not well-formed Unicode'],
  ])('says what is wrong with %j', (fields, reason) => {
    expect(schema.validate(fields as Fields)).toContain(reason)
  })

  it.each([NaN, Infinity, -Infinity, -0, 5e-324])('takes %d as a number', (value) => {
    const declared = compileSchema(withField({ type: 'number' }) as JsonSchema)
    expect(declared.validate({ a: value })).toBeUndefined()
    expect(inferSchema([sample({ a: value })]).validate({ a: value })).toBeUndefined()
  })

  it('is not misled by names that every object has', () => {
    const types = { constructor: { type: 'number' }, toString: { type: 'string' } }
    const properties = { ...types, ['__proto__']: { type: 'number' } }
    const strict = compileSchema({ type: 'object', properties, required: ['constructor'] })
    expect(strict.validate({})).toContain("must have required property 'constructor'")
    expect(strict.validate({ constructor: 1 })).toBeUndefined()
    const hidden = JSON.parse('{"constructor":1,"__proto__":"x"}') as Fields
    expect(strict.validate(hidden)).toBe('field "__proto__" is "x", wanted is number')
  })

  it('refuses unknown fields where the schema says so', () => {
    const closed = compileSchema({ ...MOTION, additionalProperties: false })
    expect(closed.validate({ speed: 1, more: 2 })).toContain('additional properties')
  })
})

describe('inferSchema', () => {
  it('takes the types it sees, and says that it guessed', () => {
    const schema = inferSchema([sample({ a: 1, b: 'x' }), sample({ b: 2, c: true })])
    expect(schema.inferred).toBe(true)
    expect(schema.json).toEqual({
      type: 'object',
      'x-inferred': true,
      properties: {
        a: { type: 'number' },
        b: { type: ['number', 'string'] },
        c: { type: 'boolean' },
      },
    })
  })

  it('returns the previous schema itself when nothing is new', () => {
    const first = inferSchema([sample({ a: 1, b: 'x' })])
    expect(inferSchema([sample({ a: 2.5 }), sample({}), sample({ b: '' })], first)).toBe(first)
    expect(inferSchema([], first)).toBe(first)
  })

  it('adds to the previous schema, and has the id of one inferred at once', () => {
    const first = inferSchema([sample({ a: 1 })])
    const second = inferSchema([sample({ b: true, a: 'x' })], first)
    expect(second.id).not.toBe(first.id)
    expect(second.id).toBe(inferSchema([sample({ a: 'y' }), sample({ b: false, a: 3 })]).id)
  })

  it('keeps units when it widens a declared schema', () => {
    const declared = compileSchema(
      withField({ type: 'integer', minimum: 3, 'x-unit': 'V' }) as JsonSchema,
    )
    expect(inferSchema([sample({ a: 4 })], declared)).toBe(declared)
    expect(inferSchema([sample({ a: 4.5 })], declared).json['properties']).toEqual({
      a: { type: 'number', 'x-unit': 'V' },
    })
  })

  it('does not depend on the order of samples', () => {
    const value = fc.oneof(fc.double(), fc.string({ unit: 'binary' }), fc.boolean())
    const fields = fc.dictionary(fc.constantFrom('a', 'b', '__proto__', 'constructor', ''), value)
    fc.assert(
      fc.property(fc.array(fields, { maxLength: 8 }), (rows) => {
        const samples = rows.map(sample)
        const schema = inferSchema(samples)
        expect(inferSchema(samples.toReversed()).id).toBe(schema.id)
        const oneByOne = samples.reduce((last, one) => inferSchema([one], last), inferSchema([]))
        expect(oneByOne.id).toBe(schema.id)
        for (const { fields } of samples) expect(schema.validate(fields)).toBeUndefined()
      }),
    )
  })

  it('does not let a field pass that it has not seen', () => {
    expect(inferSchema([sample({ a: 1 })]).validate({ b: 1 })).toContain(
      '"b" is not in the inferred',
    )
  })

  it('refuses values that are none', () => {
    expect(() => inferSchema([sample({ a: null } as unknown as Fields)])).toThrow(
      expect.objectContaining({ code: 'MESH_SAMPLE_INVALID' }),
    )
  })
})

describe('schema frames', () => {
  it('carry the schema, under its own id', () => {
    const schema = compileSchema(MOTION)
    const frame = openFrame(schemaFrame(schema))
    expect(frame).toMatchObject({
      kind: 'schema',
      codec: 'json',
      stream: SCHEMA_STREAM,
      source: schema.id,
      epoch: '0000000000000000',
      sequence: 1,
      firstUs: 0,
      lastUs: 0,
      count: 0,
      schemaId: schema.id,
    })
    const received = schemaFromFrame(frame)
    expect(received.id).toBe(schema.id)
    expect(received.json).toEqual(schema.json)
    expect(received.fields).toEqual(schema.fields)
    expect(received.validate({ speed: 900 })).toContain('must be <= 500')
    expect(schemaFrame(received).equals(schemaFrame(schema))).toBe(true)
  })

  it('are refused when the id is not the hash of the body', () => {
    const schema = compileSchema(MOTION)
    const frame = openFrame(schemaFrame(schema))
    const other = 'ffffffffffffffff' as SchemaId
    for (const change of [{ schemaId: other }, { source: other }, { kind: 'data' as const }]) {
      expectRefused({ ...frame, ...change }, frame.body)
    }
    expectRefused(frame, Buffer.from('{}'))
  })

  const deep = `{"type":"object","properties":{},"x-a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
  it.each([
    '{"type": "object", "properties": {}}',
    '{"type":"object"}',
    'null',
    '[',
    '"\\ud800"',
    deep,
  ])('are refused when the body is %.60s', (text) => {
    const body = Buffer.from(text)
    const id = createHash('sha256').update(body).digest('hex').slice(0, 16) as SchemaId
    const frame = openFrame(schemaFrame(compileSchema(MOTION)))
    expectRefused({ ...frame, source: id, schemaId: id }, body)
  })
})

describe('canonicalJson', () => {
  it('is the same for equal JSON and parses back to it', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
        const text = canonicalJson(value)
        const copy = JSON.parse(text) as unknown
        expect(canonicalJson(copy)).toBe(text)
        expect(text).toBe(canonicalJson(reversed(value)))
      }),
    )
  })
})

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, member]) => [key, reversed(member)])
  return Object.fromEntries(entries.reverse())
}

function nested(depth: number): unknown {
  return depth === 0 ? [] : [nested(depth - 1)]
}

function withField(property: unknown): object {
  return { type: 'object', properties: { a: property } }
}

function expectRefused(header: Parameters<typeof encodeFrame>[0], body: Buffer): void {
  const epoch = '0000000000000000' as Epoch
  const frame = openFrame(encodeFrame({ ...header, epoch }, body))
  expect(() => schemaFromFrame(frame)).toThrow(
    expect.objectContaining({ code: 'MESH_SCHEMA_INVALID' }),
  )
}
