// Blocks: how large they are, what they refuse, and what a check is for.
import { expect, test } from 'vitest'
import { compileSchema, SeededRandom } from '../../../mesh/index.ts'
import { TRUCK_SCHEMA, truckReadings } from '../../../sim/trucks.ts'
import type { StoredFrame } from '../../frame-store.ts'
import { joinBlock, splitBlock, type BlockParts } from './block-format.ts'
import { frameOf, OTHER_SCHEMA, sampleFrame, sampleFrames, SCHEMA } from './block-test-frames.ts'
import { blockFrame, encodeBlock, readBlock } from './block.ts'

const TRUCK = compileSchema(TRUCK_SCHEMA)
const BASE_US = 1_790_000_000_000_000

function opened(bytes: Buffer) {
  const block = readBlock(bytes)
  if (typeof block === 'string') throw new Error(block)
  return block
}

/** 128 rows every 10 s are longer than a frame may be, so those come every 4 s. */
test.each([
  [360, 128, 4],
  [4096, 128, 4],
  [360, 60, 10],
  [4096, 60, 10],
  [360, 1, 10],
  [4096, 1, 10],
])('truck row - at most 8 bytes in blocks of %i, from frames of %i', (rows, each, seconds) => {
  const random = new SeededRandom(1)
  // Taken in half a millisecond after it was measured, give or take a quarter.
  const delayUs = (): number => 250 + Math.floor(random.next() * 500)
  const trucks = truckReadings({ seed: 123, trucks: 10, rows, intervalUs: seconds * 1e6 })
  let bytes = 0
  for (const truck of trucks) {
    const frames = sampleFrames(truck.rows, each, TRUCK, delayUs)
    const block = encodeBlock(frames, () => TRUCK)
    bytes += block.length
    const { frames: facts, cellSeconds } = opened(block)
    expect(facts.every(({ verbatim }) => verbatim === undefined)).toBe(true)
    expect(cellSeconds).toBeGreaterThan(0)
  }
  expect(bytes / rows / trucks.length).toBeLessThanOrEqual(8)
})

test('frames of a few samples share a check, larger ones keep their CRC', () => {
  const samples = Array.from({ length: 200 }, (_, i) => ({
    timeUs: BASE_US + i * 1000,
    fields: { a: i },
  }))
  const large = sampleFrames(samples, 100, SCHEMA)
  const small = sampleFrames(samples, 1, SCHEMA)
  const ofLarge = opened(encodeBlock(large, () => SCHEMA))
  const ofSmall = opened(encodeBlock(small, () => SCHEMA))
  expect(ofLarge.frames.map(({ crc }) => crc)).toEqual(large.map(({ frame }) => frame.crc))
  expect(ofLarge.frames.map(({ bytes }) => bytes)).toEqual(
    large.map(({ frame }) => frame.bytes.length),
  )
  expect(new Set(ofSmall.frames.map(({ crc }) => crc))).toEqual(new Set([undefined]))
  const checks = ofSmall.frames.map(({ check }) => check)
  expect([0, 63, 64, 128, 192, 199].map((i) => checks[i])).toEqual([0, 0, 1, 2, 3, 3])
  const known = ofSmall.frames.reduce((sum, { bytes }) => sum + bytes, 0)
  const real = small.reduce((sum, { frame }) => sum + frame.bytes.length, 0)
  expect(known - real).toBeGreaterThanOrEqual(0)
  expect(known - real).toBeLessThan(200)
})

test.each([1, 100])(
  'frames of %i - other columns than were written are found by a check',
  (each) => {
    const readings = (a: number) =>
      Array.from({ length: 200 }, (_, i) => ({ timeUs: BASE_US + i, fields: { a: a + (i >> 7) } }))
    const frames = sampleFrames(readings(1), each, SCHEMA)
    const parts = splitBlock(encodeBlock(frames, () => SCHEMA)) as BlockParts
    const others = splitBlock(
      encodeBlock(sampleFrames(readings(2), each, SCHEMA), () => SCHEMA),
    ) as BlockParts
    const mixed = opened(joinBlock({ ...parts, columns: others.columns }))
    expect(blockFrame(mixed, 0, SCHEMA)).toBe('crc')
    expect(blockFrame(mixed, mixed.frames.length - 1, SCHEMA)).toBe('crc')
    const broken = opened(joinBlock({ ...parts, columns: others.columns.subarray(1) }))
    expect(blockFrame(broken, 0, SCHEMA)).toBe('columns')
  },
)

test('a block without columns needs no schema, one with columns its own', () => {
  const end = frameOf(Buffer.alloc(0), { sequence: 2, kind: 'end', codec: 'none' }, BASE_US)
  const data = sampleFrame([{ timeUs: BASE_US, fields: { a: 1 } }], 1)
  const unknown = opened(encodeBlock([data, end], () => undefined))
  expect(blockFrame(unknown, 0, undefined)).toEqual(data.frame)
  expect(blockFrame(unknown, 1, undefined)).toEqual(end.frame)
  const known = opened(encodeBlock([data, end], () => SCHEMA))
  expect(blockFrame(known, 1, undefined)).toEqual(end.frame)
  expect(() => blockFrame(known, 0, undefined)).toThrow(RangeError)
  expect(() => blockFrame(known, 0, OTHER_SCHEMA)).toThrow(/is not that of the block/)
})

test('more samples than one body holds - the rest is kept verbatim', () => {
  const samples = Array.from({ length: 60_000 }, (_, i) => ({ timeUs: BASE_US + i, fields: {} }))
  const frames = [1, 2].map((sequence) => sampleFrame(samples, sequence))
  const block = opened(encodeBlock(frames, () => SCHEMA))
  expect(block.frames.map(({ verbatim }) => verbatim === undefined)).toEqual([true, false])
})

test('fields the schema does not name - kept as columns where one order suits all frames', () => {
  const frame = (sequence: number, fields: Record<string, number>) =>
    sampleFrame([{ timeUs: BASE_US + sequence, fields }], sequence)
  const verbatim = (frames: StoredFrame[]): number[] =>
    opened(encodeBlock(frames, () => SCHEMA)).frames.flatMap(({ sequence, verbatim }) =>
      verbatim === undefined ? [] : sequence,
    )
  const xy = frame(1, { a: 1, x: 1, y: 2 })
  const yx = frame(2, { a: 1, y: 1, x: 2 })
  const plain = frame(3, { a: 1 })
  expect(verbatim([xy, frame(2, { y: 3 }), plain])).toEqual([])
  expect(verbatim([xy, yx, plain])).toEqual([2])
  // The second has an order of its own; without it, the third brings z before the y of the fourth.
  const others = [{ x: 1 }, { y: 1, x: 1 }, { z: 1 }, { y: 1, z: 1 }] as Record<string, number>[]
  const four = others.map((fields, i) => frame(i + 1, fields))
  expect(verbatim([...four, frame(5, { a: 1 })])).toEqual([1, 2, 3, 4])
})

test('no frames, frames out of sequence and frames of two lanes are refused', () => {
  const one = sampleFrame([{ timeUs: BASE_US, fields: {} }], 1)
  const two = sampleFrame([{ timeUs: BASE_US, fields: {} }], 2)
  const elsewhere = frameOf(Buffer.alloc(0), { sequence: 3, kind: 'end', source: 'VH002' }, BASE_US)
  expect(() => encodeBlock([], () => SCHEMA)).toThrow(RangeError)
  expect(() => encodeBlock([two, one], () => SCHEMA)).toThrow(/out of sequence/)
  expect(() => encodeBlock([one, one], () => SCHEMA)).toThrow(/out of sequence/)
  expect(() => encodeBlock([one, elsewhere], () => SCHEMA)).toThrow(/several lanes/)
})
