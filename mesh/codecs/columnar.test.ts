import { zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { TRUCK_SCHEMA, truckReadings } from '../../sim/trucks.ts'
import type { Sample, Value } from '../sample.ts'
import { compileSchema } from '../schema.ts'
import { codecFor, createColumnarCodec } from './index.ts'
import { CELLS_MAX } from './limits.ts'

const SCHEMA = compileSchema({ type: 'object', properties: { v: { type: 'number' } } })
const codec = codecFor('columnar')

/** Bytes that a column of these values takes, at times 100 ms apart. */
function columnBytes(values: readonly Value[]): number {
  const samples = values.map((v, i) => ({
    timeUs: 1_790_000_000_000_000 + i * 100_000,
    fields: { v },
  }))
  const bare = samples.map(({ timeUs }) => ({ timeUs, fields: {} }))
  const body = codec.encode(samples, SCHEMA)
  expect(codec.decode(body, samples.length, SCHEMA)).toStrictEqual(samples)
  return body.length - codec.encode(bare, SCHEMA).length
}

const rows = (count: number, value: (i: number) => Value): Value[] =>
  Array.from({ length: count }, (_, i) => value(i))

describe('size', () => {
  it('is the same for regular times, however many', () => {
    const times = (count: number): Sample[] =>
      Array.from({ length: count }, (_, i) => ({ timeUs: 1.79e15 + i * 1e5, fields: {} }))
    const body = codec.encode(times(10_000), SCHEMA)
    expect(body.length).toBe(codec.encode(times(2), SCHEMA).length)
    expect(body.length).toBeLessThan(20)
  })

  it.each<[string, Value[], number]>([
    ['a constant number', rows(1000, () => 21.5), 8],
    ['a constant number with many digits', rows(1000, () => Math.PI), 16],
    ['NaN throughout', rows(1000, () => NaN), 16],
    ['a counter', rows(1000, (i) => 5_000_000 + i), 16],
    ['a constant string', rows(1000, () => 'closed'), 16],
    ['alternating booleans', rows(1000, (i) => i % 2 === 0), 130],
    ['one of four strings', rows(1000, (i) => ['N', 'E', 'S', 'W'][(i * 7) % 4]!), 270],
    ['two decimals in a range of 40', rows(1000, (i) => ((i * 7919) % 4000) / 100), 1520],
    ['steps of up to 0.05 from a large value', rows(1000, walkFrom7E5), 900],
  ])('of %s stays small', (_, values, most) => {
    expect(columnBytes(values)).toBeLessThanOrEqual(most)
  })

  it('does not suffer from a NaN, an infinity or a -0 among decimals', () => {
    const plain = rows(100, (i) => (i % 10) / 10)
    const special = plain.with(0, NaN).with(50, -0).with(99, Infinity)
    expect(columnBytes(special)).toBeLessThan(columnBytes(plain) + 40)
  })

  it('uses varints where one jump would widen every step', () => {
    const jump = rows(1000, (i) => (i === 500 ? 9e9 : i % 20))
    expect(columnBytes(jump)).toBeLessThan(1050)
  })

  it('of float32 values is well below eight bytes each', () => {
    const floats = rows(1000, (i) => Math.fround(20 + Math.sin(i)))
    expect(columnBytes(floats)).toBeLessThan(1000 * 4.5)
  })

  it('of a truck reading is below seven bytes a row', () => {
    const schema = compileSchema(TRUCK_SCHEMA)
    const [truck] = truckReadings({ seed: 123, trucks: 1, rows: 128 })
    const body = codec.encode(truck!.rows, schema)
    expect(body.length / 128).toBeLessThan(6.5)
    // The frame around it: 60 bytes of header and the two names.
    expect((body.length + 60 + 'truck_0'.length + 'truck.readings'.length) / 128).toBeLessThan(9)
  })
})

describe('zstd', () => {
  const texts = Array.from({ length: 200 }, (_, i) => ({
    timeUs: i,
    fields: { v: i, log: `vehicle ${i} reports the door is open` },
  }))
  const compressing = createColumnarCodec({ compress: true })

  it('is used where it makes the body smaller, and any columnar codec reads it', () => {
    const body = compressing.encode(texts, SCHEMA)
    expect(body[0]).toBe(1)
    expect(body.length).toBeLessThan(codec.encode(texts, SCHEMA).length / 2)
    expect(codec.decode(body, texts.length, SCHEMA)).toStrictEqual(texts)
  })

  it('is left out where it does not', () => {
    expect(compressing.encode(texts.slice(0, 1), SCHEMA)[0]).toBe(0)
  })
})

describe('hostile bodies', () => {
  const corrupt = expect.objectContaining({ code: 'MESH_BODY_CORRUPT' })
  // Flags 0; times: steps from 0, least step 1, width 0.
  const TIMES = [0, 0x01, 0, 1, 0]
  /** Field 0 of the schema, numbers, steps from 0 by 0: a column of any number of zeros. */
  const ZEROS = [1, 1, 0x01, 0, 0, 0]

  it('cannot expand a few bytes to more than the values a frame may hold', () => {
    const columns = (count: number): Buffer =>
      Buffer.from([...TIMES, count, ...Array.from({ length: count }, () => ZEROS).flat()])
    const most = CELLS_MAX / 65_536
    expect(codec.decode(columns(most), 65_536, SCHEMA)).toHaveLength(65_536)
    expect(() => codec.decode(columns(most + 1), 65_536, SCHEMA)).toThrow(corrupt)
  })

  it('are not unpacked beyond 16 MiB, nor with a window beyond that', () => {
    const bomb = zstdCompressSync(Buffer.alloc(1 << 25))
    expect(() => codec.decode(Buffer.from([1, ...bomb]), 1, SCHEMA)).toThrow(corrupt)
    // A zstd header that asks for a window of 128 MiB: magic, descriptor 0, window byte.
    const window = [1, 0x28, 0xb5, 0x2f, 0xfd, 0x00, (27 - 10) << 3, 1, 0, 0]
    expect(() => codec.decode(Buffer.from(window), 1, SCHEMA)).toThrow(corrupt)
  })

  it.each([
    ['nothing', []],
    ['unknown flags', [2, ...TIMES.slice(1), 0]],
    ['a time beyond 2^53', [0, 0x00, 0, 0, 0, 0, 0, 0, 0x50, 0x43, ...TIMES, 0]],
    ['a negative time', [0, 0x01, 0x41, 1, 0, 0]],
    ['bytes after the last column', [...TIMES, 0, 0]],
    ['a field the schema does not have', [...TIMES, 1, 2, ...ZEROS.slice(1)]],
    ['a column of no kind', [...TIMES, 1, 1, 0]],
    ['a column without a value', [...TIMES, 1, 1, 0x81, 0, 0]],
    ['a width of 54', [0, 0x01, 0, 1, 54, ...Array.from({ length: 99 }, () => 0)]],
    ['a scale of 10', [...TIMES, 1, 1, 1, 0xa1, 0, 0, 0]],
    ['an XOR window beyond 64 bits', [...TIMES, 1, 1, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 33, 32, 0]],
    ['a dictionary larger than the column', [...TIMES, 1, 1, 4, 1, 3, 0, 0, 0]],
    ['a string longer than the body', [...TIMES, 1, 1, 4, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ['a varint without end', [0, 0x01, ...Array.from({ length: 20 }, () => 0xff)]],
  ])('with %s are refused', (_, bytes) => {
    expect(() => codec.decode(Buffer.from(bytes), 2, SCHEMA)).toThrow(corrupt)
  })

  it('with a schema that lacks a field are refused', () => {
    const empty = compileSchema({ type: 'object', properties: {} })
    const body = codec.encode([{ timeUs: 1, fields: { v: 1 } }], SCHEMA)
    expect(() => codec.decode(body, 1, empty)).toThrow(corrupt)
  })
})

it('refuses more values than any decoder would give back', () => {
  const names = Array.from({ length: 33 }, (_, i) => [`f${i}`, 0] as const)
  const fields = Object.fromEntries(names)
  const samples = Array.from({ length: 65_536 }, (_, timeUs) => ({ timeUs, fields }))
  expect(() => codec.encode(samples, SCHEMA)).toThrow(
    expect.objectContaining({ code: 'MESH_FRAME_TOO_LARGE' }),
  )
})

it('codecFor - there is none for none', () => {
  expect(() => codecFor('none')).toThrow(expect.objectContaining({ code: 'MESH_CODEC_UNKNOWN' }))
})

function walkFrom7E5(i: number): number {
  return (70_000_000 + i * 3 + ((i * 31) % 11)) / 100
}
