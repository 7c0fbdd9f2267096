import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import { describe, expect, it } from 'vitest'
import type { Sample } from '../sample.ts'
import { canonicalJson, compileSchema, inferSchema, SCHEMA_BYTES_MAX } from '../schema.ts'
import { protobufCodec } from './protobuf.ts'

const DOORS = compileSchema({
  type: 'object',
  properties: {
    door: { type: 'string' },
    'doors open': { type: 'integer' },
    moving: { type: 'boolean' },
    speed: { type: 'number' },
    state: { type: ['integer', 'string'] },
  },
})

/** The messages as docs/wire-format.md has them, read by somebody who knows nothing else. */
const page = readFileSync(join(import.meta.dirname, '../../docs/wire-format.md'), 'utf8')
const Body = protobuf.parse(/```proto\n([^`]+)```/.exec(page)![1]!).root.lookupType('Body')

function read(body: Uint8Array): unknown {
  const plain = { longs: Number, oneofs: false }
  return (Body.toObject(Body.decode(body), plain) as { samples: unknown }).samples
}

const write = (samples: object[]): Uint8Array => Body.encode(Body.fromObject({ samples })).finish()

describe('protobuf codec', () => {
  it('writes what any decoder of the documented messages reads', () => {
    const samples: Sample[] = [
      {
        timeUs: 1_790_000_000_000_000,
        fields: { door: 'rear', 'doors open': -3, moving: true, speed: 12.5, state: 'stopping' },
      },
      { timeUs: 0, fields: { door: '', 'doors open': 0, moving: false, speed: -0, state: 7 } },
      { timeUs: 2 ** 53 - 1, fields: { 'doors open': 1 - 2 ** 53, kneeling: false } },
      { timeUs: 1, fields: { 'doors open': 1.5, moving: 'yes', speed: true } },
    ]
    expect(read(protobufCodec.encode(samples, DOORS))).toEqual([
      {
        timeUs: 1_790_000_000_000_000,
        door: 'rear',
        doorsOpen: -3,
        moving: true,
        speed: 12.5,
        state: { text: 'stopping' },
      },
      { door: '', doorsOpen: 0, moving: false, speed: -0, state: { number: 7 } },
      { timeUs: 2 ** 53 - 1, doorsOpen: 1 - 2 ** 53, other: { kneeling: { flag: false } } },
      {
        timeUs: 1,
        other: { 'doors open': { number: 1.5 }, moving: { text: 'yes' }, speed: { flag: true } },
      },
    ])
  })

  it('reads what any encoder of the documented messages writes', () => {
    const body = write([
      { other: { '': { text: '' }, kneeling: { flag: true } }, speed: 0, doorsOpen: -1 },
      { timeUs: 2 ** 53 - 1, door: '速度', moving: false, state: { number: -0 } },
      {},
    ])
    expect(protobufCodec.decode(body, 3, DOORS)).toEqual([
      { timeUs: 0, fields: { '': '', kneeling: true, speed: 0, 'doors open': -1 } },
      { timeUs: 2 ** 53 - 1, fields: { door: '速度', moving: false, state: -0 } },
      { timeUs: 0, fields: {} },
    ])
  })

  it('takes the last of two values of a field, as Protobuf does', () => {
    const [one, two] = [{ door: 'a', other: { b: { flag: true } } }, { door: 'c' }].map(
      (sample) => {
        const body = write([sample])
        return Buffer.from(body.subarray(2))
      },
    )
    const both = Buffer.concat([one!, two!])
    const body = Buffer.concat([Buffer.from([0x0a, both.length]), both])
    expect(protobufCodec.decode(body, 1, DOORS)).toEqual([
      { timeUs: 0, fields: { door: 'c', b: true } },
    ])
  })

  it.each<[string, number[]]>([
    ['nothing, where one sample should be', []],
    ['two samples, where one should be', [0x0a, 0, 0x0a, 0]],
    ['something beside samples', [0x12, 0]],
    ['a field of number 0', [0x02, 0]],
    ['a sample longer than the body', [0x0a, 9, 0x08, 1]],
    ['a length of 2^32 - 1', [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ['a field that runs beyond its sample', [0x0a, 2, 0x1a, 5, 97, 97, 97, 97, 97]],
    ['a field that the schema does not have', [0x0a, 2, 0x40, 1]],
    ['a field with the wire type of another', [0x0a, 2, 0x18, 1]],
    ['a group', [0x0a, 2, 0x1b, 0x1c]],
    ['a time of 2^53', [0x0a, 9, 0x08, 128, 128, 128, 128, 128, 128, 128, 16]],
    ['a time of 64 bits', [0x0a, 11, 0x08, ...Array.from({ length: 9 }, () => 255), 1]],
    ['a varint without end', [0x0a, 12, 0x08, ...Array.from({ length: 11 }, () => 255)]],
    ['an integer of -2^53', [0x0a, 9, 0x20, 255, 255, 255, 255, 255, 255, 255, 31]],
    ['a double cut short', [0x0a, 5, 0x31, 0, 0, 0, 0]],
    ['another field without a value', [0x0a, 5, 0x12, 3, 0x0a, 1, 97]],
    ['another field with something else', [0x0a, 4, 0x12, 2, 0x18, 1]],
    ['a value of no kind', [0x0a, 2, 0x3a, 0]],
    ['a value of another kind', [0x0a, 4, 0x3a, 2, 0x20, 1]],
  ])('refuses %s', (_, bytes) => {
    expect(() => protobufCodec.decode(Buffer.from(bytes), 1, DOORS)).toThrow(
      expect.objectContaining({ code: 'MESH_BODY_CORRUPT' }),
    )
  })

  it('has numbers for the fields of the largest schema, short of those that Protobuf keeps', () => {
    const names = Array.from({ length: 10_800 }, (_, i) => i.toString(36))
    const samples = [{ timeUs: 1, fields: Object.fromEntries(names.map((name) => [name, 0.5])) }]
    const schema = inferSchema(samples)
    expect(canonicalJson(schema.json).length).toBeGreaterThan(SCHEMA_BYTES_MAX * 0.98)
    const body = protobufCodec.encode(samples, schema)
    expect(protobufCodec.decode(body, 1, schema)).toEqual(samples)
  })
})
