// Blocks of any frames, ordinary and strange ones mixed: each comes back byte for byte, and bytes that
// are no block are known for it.
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createColumnarCodec } from '../../../mesh/codecs/index.ts'
import { codecFor, type Sample, type Value } from '../../../mesh/index.ts'
import type { StoredFrame } from '../../frame-store.ts'
import { frameOf, OTHER_SCHEMA, sampleFrame, SCHEMA, schemaOf } from './block-test-frames.ts'
import { blockFrame, blockSamples, blockStatistics, encodeBlock, readBlock } from './block.ts'

const BASE_US = 1_790_000_000_000_000
const compressing = createColumnarCodec({ compress: true })

const value: fc.Arbitrary<Value> = fc.oneof(
  fc.integer({ min: -1000, max: 1000 }).map((n) => n / 10),
  fc.double(),
  fc.constantFrom(NaN, -0, Infinity, 2 ** 53),
  fc.boolean(),
  fc.constantFrom('open', 'closed', ''),
)
const sample = fc
  .tuple(
    fc.integer({ min: BASE_US, max: BASE_US + 500_000_000 }),
    fc.array(fc.tuple(fc.constantFrom('a', 'b b', 'speed', '__proto__', 'x', 'y', '0'), value), {
      maxLength: 5,
    }),
  )
  .map(([timeUs, fields]): Sample => ({ timeUs, fields: Object.fromEntries(fields) }))
const someSamples = fc.array(sample, { minLength: 1, maxLength: 40 })
const delay = fc.integer({ min: -5_000, max: 5_000_000 })

type Make = (sequence: number) => StoredFrame

const ordinary = fc.tuple(someSamples, delay).map(
  ([samples, delayUs]): Make =>
    (sequence) =>
      sampleFrame(samples, sequence, SCHEMA, delayUs),
)
const single = fc.tuple(sample, delay).map(
  ([one, delayUs]): Make =>
    (sequence) =>
      sampleFrame([one], sequence, SCHEMA, delayUs),
)
const ofOtherSchema = someSamples.map(
  (samples): Make =>
    (sequence) =>
      sampleFrame(samples, sequence, OTHER_SCHEMA),
)
const ofOtherCodec = someSamples.map(
  (samples): Make =>
    (sequence) =>
      sampleFrame(samples, sequence, SCHEMA, 0, 'msgpack'),
)
const compressed = fc.constant<Make>((sequence) => {
  const fields = { a: 'as long as it takes until zstd finds something to gain. '.repeat(20) }
  const samples = [{ timeUs: BASE_US, fields }]
  return strange(Buffer.from(compressing.encode(samples, SCHEMA)), sequence)
})
/** Times raw: right, but our encoder writes them in steps. */
const ofOtherEncoder = fc.constant<Make>((sequence) => {
  const body = Buffer.alloc(11)
  body.writeDoubleLE(BASE_US, 2)
  return strange(body, sequence)
})
/** One value that is a NaN with a payload of its own: 8 bytes at the end of the body. */
const oddNaN = fc.bigInt({ min: 1n, max: 2n ** 51n - 1n }).map((payload): Make => {
  const { frame } = sampleFrame([{ timeUs: BASE_US, fields: { a: NaN } }], 1)
  const body = Buffer.from(frame.body)
  body.writeBigUInt64LE(0x7ff8_0000_0000_0000n | payload, body.length - 8)
  return (sequence) => strange(body, sequence)
})
const garbage = fc.uint8Array({ maxLength: 60 }).map(
  (bytes): Make =>
    (sequence) =>
      strange(bytes, sequence),
)
/** A first time that the header does not tell of, further back than a frame may say. */
const wrongTimes = sample.map((one): Make => (sequence) => {
  const samples = [BASE_US - 700_000_000, BASE_US].map((timeUs) => ({ ...one, timeUs }))
  return strange(codecFor('columnar').encode(samples, SCHEMA), sequence, 2)
})
const skip = fc.constant<Make>((sequence) =>
  frameOf(
    Buffer.from(`{"runs":[[${sequence + 1},${sequence + 1},1]]}`),
    { sequence, kind: 'skip', codec: 'json', count: 1, firstUs: BASE_US, lastUs: BASE_US },
    BASE_US + 10,
  ),
)
const end = fc.constant<Make>((sequence) =>
  frameOf(Buffer.alloc(0), { sequence, kind: 'end', codec: 'none' }, BASE_US),
)

/** A data frame that says it holds samples of BASE_US. */
function strange(body: Uint8Array, sequence: number, count = 1): StoredFrame {
  const span = { firstUs: BASE_US, lastUs: BASE_US }
  return frameOf(body, { sequence, ...span, count, schemaId: SCHEMA.id }, BASE_US + 3)
}

const frames = fc
  .array(
    fc.tuple(
      fc.integer({ min: 1, max: 3 }),
      fc.oneof(
        { weight: 8, arbitrary: ordinary },
        { weight: 16, arbitrary: single },
        ofOtherSchema,
        ofOtherCodec,
        compressed,
        ofOtherEncoder,
        oddNaN,
        garbage,
        wrongTimes,
        skip,
        end,
      ),
    ),
    { minLength: 1, maxLength: 30 },
  )
  .map((made) => {
    let sequence = 0
    return made.map(([step, make]) => make((sequence += step)))
  })

test('every frame comes back byte for byte, with its name, times and ingest time', () => {
  let rebuilt = 0
  let verbatim = 0
  fc.assert(
    fc.property(frames, fc.boolean(), (frames, backwards) => {
      const block = readBlock(encodeBlock(frames, schemaOf))
      if (typeof block === 'string') throw new Error(block)
      const order = frames.map((_, i) => (backwards ? frames.length - 1 - i : i))
      for (const i of order) {
        const { frame, ingestUs } = frames[i]!
        const facts = block.frames[i]!
        const { sequence, kind, count, firstUs, lastUs } = frame
        expect(facts).toMatchObject({ sequence, kind, count, firstUs, lastUs, ingestUs })
        expect([undefined, frame.crc]).toContain(facts.crc)
        const found = blockFrame(block, i, schemaOf(block.schemaId))
        if (typeof found === 'string') throw new Error(found)
        expect(found.bytes.equals(frame.bytes)).toBe(true)
        if (facts.verbatim === undefined) rebuilt++
        else verbatim++
      }
      expect(block.firstUs).toBe(Math.min(...frames.map(({ frame }) => frame.firstUs)))
      expect(block.lastUs).toBe(Math.max(...frames.map(({ frame }) => frame.lastUs)))
    }),
    { numRuns: 400 },
  )
  expect(rebuilt).toBeGreaterThan(500)
  expect(verbatim).toBeGreaterThan(500)
})

test('a flipped bit, a missing end and any other bytes are no block, and throw nothing', () => {
  fc.assert(
    fc.property(frames, fc.nat(), fc.nat({ max: 7 }), (frames, place, bit) => {
      const bytes = encodeBlock(frames, schemaOf)
      const at = place % bytes.length
      expect(typeof readBlock(bytes.subarray(0, at))).toBe('string')
      bytes[at]! ^= 1 << bit
      expect(typeof readBlock(bytes)).toBe('string')
    }),
    { numRuns: 400 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(typeof readBlock(Buffer.from(bytes))).toBe('string')
    }),
  )
})

test('a wrong byte under a right checksum throws nothing where frames are read', () => {
  fc.assert(
    fc.property(frames, fc.nat(), fc.nat({ max: 255 }), (frames, place, byte) => {
      const bytes = encodeBlock(frames, schemaOf)
      bytes[12 + (place % (bytes.length - 12))] = byte
      bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
      const block = readBlock(bytes)
      if (typeof block !== 'string') expect(block.frames.length).toBeGreaterThan(0)
    }),
    { numRuns: 400 },
  )
})

test('samples are those of the frames kept as columns, in order', () => {
  fc.assert(
    fc.property(fc.array(someSamples, { minLength: 1, maxLength: 8 }), (parts) => {
      const frames = parts.map((samples, i) => sampleFrame(samples, i + 1))
      const block = readBlock(encodeBlock(frames, schemaOf))
      if (typeof block === 'string') throw new Error(block)
      const samples = blockSamples(block, SCHEMA)!
      expect(blockSamples(block, SCHEMA)).toBe(samples)
      for (const [i, { verbatim, sampleAt, count }] of block.frames.entries()) {
        if (verbatim === undefined) {
          expect(samples.slice(sampleAt, sampleAt + count)).toEqual(parts[i])
        }
      }
      expect(blockStatistics(block, SCHEMA)).toBe(undefined)
    }),
  )
})
