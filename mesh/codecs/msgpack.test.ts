import { pack, unpack } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import { compileSchema } from '../schema.ts'
import { msgpackCodec } from './msgpack.ts'

const SCHEMA = compileSchema({ type: 'object', properties: {} })
const corrupt = expect.objectContaining({ code: 'MESH_BODY_CORRUPT' })

describe('msgpack codec', () => {
  it('writes plain MessagePack that any reader takes: structures, then rows', () => {
    const samples = [
      { timeUs: 1, fields: { a: 1, b: 'x' } },
      { timeUs: 2, fields: { a: 2.5, b: 'y' } },
      { timeUs: 3, fields: { c: true } },
    ]
    const body = msgpackCodec.encode(samples, SCHEMA)
    expect(unpack(body)).toEqual([
      [['a', 'b'], ['c']],
      [
        [0, 1, 1, 'x'],
        [0, 2, 2.5, 'y'],
        [1, 3, true],
      ],
    ])
  })

  it('keeps -0, which msgpackr alone does not', () => {
    const body = msgpackCodec.encode([{ timeUs: 0, fields: { a: -0, b: 0 } }], SCHEMA)
    const [sample] = msgpackCodec.decode(body, 1, SCHEMA)
    expect(sample!.fields['a']).toBe(-0)
    expect(sample!.fields['b']).toBe(0)
  })

  it('reads what other encoders write: 64-bit integers, float32, -0 as a float', () => {
    const head = [0x92, 0x91, 0x91, 0xa1, 0x61, 0x91, 0x93, 0x00]
    const time = [0xcf, 0, 0x06, 0x5c, 0x01, 0x2b, 0x3c, 0x4d, 0x5e]
    const float32 = [0xca, 0x3f, 0xc0, 0, 0]
    const [sample] = msgpackCodec.decode(Buffer.from([...head, ...time, ...float32]), 1, SCHEMA)
    expect(sample).toEqual({ timeUs: 0x065c012b3c4d5e, fields: { a: 1.5 } })
    const zero = [0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0]
    const [other] = msgpackCodec.decode(Buffer.from([...head, ...time, ...zero]), 1, SCHEMA)
    expect(other!.fields['a']).toBe(-0)
    const inexact = [0xcf, 0, 0x20, 0, 0, 0, 0, 0, 1]
    expect(() =>
      msgpackCodec.decode(Buffer.from([...head, ...time, ...inexact]), 1, SCHEMA),
    ).toThrow(corrupt)
  })

  it.each<[string, Uint8Array]>([
    ['nothing', Buffer.alloc(0)],
    ['a map', pack({ a: 1 })],
    ['a number', pack(1)],
    ['one array', pack([[]])],
    ['a row without a structure', pack([[], [[0, 1]]])],
    ['a structure index of -1', pack([[['a']], [[-1, 1, 2]]])],
    ['a structure index that is a name', pack([[['a']], [['length', 1, 2]]])],
    ['too few values', pack([[['a', 'b']], [[0, 1, 2]]])],
    ['a field name that is a number', pack([[[1]], [[0, 1, 2]]])],
    ['a value that is null', pack([[['a']], [[0, 1, null]]])],
    ['a value that is an array', pack([[['a']], [[0, 1, [2]]]])],
    ['a value that is a date', pack([[['a']], [[0, 1, new Date(0)]]])],
    ['a time before 1970', pack([[[]], [[0, -1]]])],
    ['a time that is true', pack([[[]], [[0, true]]])],
    ['bytes after the end', Buffer.concat([pack([[[]], [[0, 1]]]), Buffer.from([0])])],
    ['an array of 2^32 - 1', Buffer.from([0x92, 0xdd, 0xff, 0xff, 0xff, 0xff])],
    ['a string of 2^32 - 1', Buffer.from([0x92, 0xdb, 0xff, 0xff, 0xff, 0xff])],
    ['a record definition', Buffer.from([0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01])],
    ['arrays within arrays', Buffer.alloc(100_000, 0x91)],
  ])('refuses %s', (_, body) => {
    expect(() => msgpackCodec.decode(body, 1, SCHEMA)).toThrow(corrupt)
  })
})
