import { crc32 } from 'node:zlib'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  CODECS,
  encodeFrame,
  FRAME_BYTES_MAX,
  FRAME_KINDS,
  FRAME_SAMPLES_MAX,
  FRAME_SPAN_US_MAX,
  type FrameHeader,
  openFrame,
  readFrame,
} from './frame.ts'
import { type Epoch, parseLaneKey, type SchemaId } from './names.ts'

const hex16 = fc
  .uint8Array({ minLength: 8, maxLength: 8 })
  .map((bytes) => Buffer.from(bytes).toString('hex'))

const header = fc
  .record({
    kind: fc.constantFrom(...FRAME_KINDS),
    codec: fc.constantFrom(...CODECS),
    source: fc
      .string({ unit: 'binary', minLength: 1, maxLength: 63 })
      .filter((name) => Buffer.byteLength(name) <= 255),
    stream: fc.stringMatching(/^[A-Za-z0-9_.-]{1,60}$/),
    epoch: hex16.map((id) => id as Epoch),
    sequence: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
    firstUs: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - FRAME_SPAN_US_MAX }),
    spanUs: fc.nat({ max: FRAME_SPAN_US_MAX }),
    count: fc.nat({ max: FRAME_SAMPLES_MAX }),
    schemaId: hex16.map((id) => id as SchemaId),
  })
  .map(({ spanUs, ...rest }): FrameHeader => ({ ...rest, lastUs: rest.firstUs + spanUs }))
const body = fc.uint8Array({ maxLength: 400 })

it('a frame gives back its header, its body and its lane', () => {
  fc.assert(
    fc.property(header, body, (header, body) => {
      const frame = openFrame(encodeFrame(header, body))
      expect(frame).toMatchObject(header)
      expect(Buffer.compare(frame.body, body)).toBe(0)
      const { source, stream, epoch } = header
      expect(parseLaneKey(frame.laneKey)).toEqual({ source, stream, epoch })
    }),
  )
})

it('one changed bit anywhere is a fault', () => {
  fc.assert(
    fc.property(header, body, fc.nat(), (header, body, bit) => {
      const bytes = encodeFrame(header, body)
      const at = (bit >> 3) % bytes.length
      bytes[at] = bytes[at]! ^ (1 << (bit & 7))
      expect(readFrame(bytes)).toBeTypeOf('string')
    }),
    { numRuns: 500 },
  )
})

it('random bytes never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(readFrame(Buffer.from(bytes))).toBeTypeOf('string')
    }),
    { numRuns: 2_000 },
  )
})

it('a header of random bytes with a right magic, length and CRC is read or refused, never thrown', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 60, maxLength: 400 }), (random) => {
      const bytes = Buffer.from(random)
      bytes.writeUInt32LE(0x01464b53, 0)
      bytes[50] = bytes[50]! % 20
      bytes[51] = bytes[51]! % 20
      bytes.writeUInt32LE(Math.max(0, bytes.length - 60 - bytes[50] - bytes[51]), 8)
      bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
      const frame = readFrame(bytes)
      if (typeof frame === 'string') return
      // What is read can be written again, to the same bytes.
      expect(encodeFrame(frame, frame.body).equals(bytes)).toBe(true)
      expect(bytes.length).toBeLessThanOrEqual(FRAME_BYTES_MAX)
    }),
    { numRuns: 2_000 },
  )
})
