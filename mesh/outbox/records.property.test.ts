import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Sample, Value } from '../sample.ts'
import {
  decodeDead,
  decodeSample,
  decodeSeal,
  eachOf,
  RECORD_HEAD_BYTES,
  recordEnd,
  RecordWriter,
  runsOf,
  scanRecords,
} from './records.ts'

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\ud800', 'a\udc00b', '__proto__', 'constructor', '', '0', 'ü', '日本', '\u0000'),
)
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(Number.NaN, -0, 0, 2 ** 31, -(2 ** 31), 2 ** 53, 5e-324, Infinity, -Infinity),
  text,
  fc.boolean(),
)
const sample: fc.Arbitrary<Sample> = fc
  .tuple(fc.maxSafeNat(), fc.array(fc.tuple(text, value), { maxLength: 8 }))
  .map(([timeUs, fields]) => ({ timeUs, fields: Object.fromEntries(fields) }))
const ids = fc.uniqueArray(fc.integer({ min: 1, max: 2 ** 40 }), { maxLength: 50 })
const ascendingIds = ids.map((list) => list.sort((a, b) => a - b))

test('a sample comes back exactly: bits of floats, signs of zeros, any text', () => {
  const writer = new RecordWriter()
  fc.assert(
    fc.property(
      fc.maxSafeNat(),
      fc.string({ unit: 'grapheme' }),
      sample,
      (ordinal, source, sample) => {
        writer.reset()
        writer.sample(ordinal, { stream: 'a.b', source, sample })
        writer.finish(7, 100)
        const bytes = writer.bytes.subarray(0, writer.length)
        expect(recordEnd(bytes, 0, 7, 100)).toBe(bytes.length)
        const back = decodeSample(bytes)
        expect(isDeepStrictEqual(back, { ordinal, stream: 'a.b', source, sample })).toBe(true)
        expect(Object.keys(back.sample.fields)).toEqual(Object.keys(sample.fields))
      },
    ),
    { numRuns: 500 },
  )
})

test('seals and dead records come back exactly', () => {
  const writer = new RecordWriter()
  fc.assert(
    fc.property(ascendingIds, ascendingIds, fc.uint8Array({ maxLength: 300 }), (a, b, frame) => {
      writer.reset()
      writer.seal(12, runsOf(a), Buffer.from(frame))
      const seal = decodeSeal(Buffer.from(writer.bytes.subarray(0, writer.length)))
      expect(seal.position).toBe(12)
      expect([...eachOf(seal.ordinals)]).toEqual(a)
      expect(seal.frame.equals(frame)).toBe(true)
      writer.reset()
      writer.dead({ positions: runsOf(a), ordinals: runsOf(b) })
      const dead = decodeDead(writer.bytes.subarray(0, writer.length))
      expect([...eachOf(dead.positions)]).toEqual(a)
      expect([...eachOf(dead.ordinals)]).toEqual(b)
    }),
  )
})

test('a record is valid only at its own offset of its own segment', () => {
  const writer = new RecordWriter()
  writer.seal(1, [], Buffer.from('frame'))
  writer.finish(7, 100)
  const bytes = writer.bytes.subarray(0, writer.length)
  expect(recordEnd(bytes, 0, 7, 100)).toBe(bytes.length)
  expect(recordEnd(bytes, 0, 7, 101)).toBe(0)
  expect(recordEnd(bytes, 0, 8, 100)).toBe(0)
})

test('a copy of a record inside a frame is not taken for a record when its cover is damaged', () => {
  const inner = new RecordWriter()
  inner.sample(5, { stream: 's', source: 'x', sample: { timeUs: 1, fields: { bad: 1 } } })
  inner.finish(7, 0)
  const writer = new RecordWriter()
  writer.seal(1, [], inner.bytes.subarray(0, inner.length))
  writer.seal(2, [], Buffer.from('next'))
  writer.finish(7, 0)
  const bytes = Buffer.from(writer.bytes.subarray(0, writer.length))
  bytes[4]! ^= 1
  const found: Buffer[] = []
  const scan = scanRecords(bytes, 0, 7, (record) => found.push(record))
  expect(scan).toEqual({ validEnd: bytes.length, damaged: 1 })
  expect(found.map((record) => decodeSeal(record).position)).toEqual([2])
})

test('random bytes are no records and do not throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.nat(), (bytes, seed) => {
      const buffer = Buffer.from(bytes)
      for (let at = 0; at + RECORD_HEAD_BYTES < bytes.length; at += 37) buffer[at + 8] = 0xd1
      expect(scanRecords(buffer, 0, seed, () => {}).validEnd).toBe(0)
    }),
  )
})
