import { describe, expect, it } from 'vitest'
import {
  encodeFrame,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  FRAME_SAMPLES_MAX,
  FRAME_SPAN_US_MAX,
  type FrameHeader,
  openFrame,
  readFrame,
  readU64,
  writeU64,
} from './frame.ts'
import { type Epoch, laneKey, type SchemaId } from './names.ts'

const HEADER: FrameHeader = {
  kind: 'data',
  codec: 'columnar',
  source: 'VH001',
  stream: 'vehicle.motion',
  epoch: '0192a1b2c3d4e5f6' as Epoch,
  sequence: 7,
  firstUs: 1_790_000_000_000_000,
  lastUs: 1_790_000_000_900_000,
  count: 10,
  schemaId: '00112233aabbccff' as SchemaId,
}
const BODY = Buffer.from('body bytes')

describe('encodeFrame', () => {
  it('gives back every header field and the body', () => {
    const frame = openFrame(encodeFrame(HEADER, BODY))
    expect(frame).toMatchObject(HEADER)
    expect(frame.body.toString()).toBe('body bytes')
  })

  it('takes a source name of 255 bytes and refuses 256', () => {
    const source = 'é'.repeat(127) + 'x'
    expect(openFrame(encodeFrame({ ...HEADER, source }, BODY)).source).toBe(source)
    expect(() => encodeFrame({ ...HEADER, source: `${source}x` }, BODY)).toThrow(RangeError)
  })

  it('takes a frame of exactly the largest size and refuses one byte more', () => {
    const room = FRAME_BYTES_MAX - FRAME_HEADER_BYTES - 'VH001vehicle.motion'.length
    expect(encodeFrame(HEADER, Buffer.alloc(room))).toHaveLength(FRAME_BYTES_MAX)
    expect(() => encodeFrame(HEADER, Buffer.alloc(room + 1))).toThrow(
      expect.objectContaining({ code: 'MESH_FRAME_TOO_LARGE' }),
    )
  })

  it.each([
    ['sequence 0', { sequence: 0 }],
    ['a sequence beyond 2^53 - 1', { sequence: 2 ** 53 }],
    ['a time before 1970', { firstUs: -1 }],
    ['times in the wrong order', { lastUs: HEADER.firstUs - 1 }],
    ['a span beyond ten minutes', { lastUs: HEADER.firstUs + FRAME_SPAN_US_MAX + 1 }],
    ['too many samples', { count: FRAME_SAMPLES_MAX + 1 }],
    ['an empty source', { source: '' }],
    ['half a surrogate pair in the source', { source: 'VH\ud800' }],
    ['a stream with a slash', { stream: 'vehicle/motion' }],
    ['an epoch that is not hex', { epoch: '0192a1b2c3d4e5fg' as Epoch }],
    ['an epoch too short', { epoch: '0192' as Epoch }],
    ['a schema id too long', { schemaId: '00112233aabbccff00' as SchemaId }],
  ])('refuses %s', (_, change) => {
    expect(() => encodeFrame({ ...HEADER, ...change }, BODY)).toThrow(RangeError)
  })
})

describe('readFrame', () => {
  it('keys the lane as laneKey does', () => {
    const frame = openFrame(encodeFrame({ ...HEADER, source: 'Nº 5' }, BODY))
    expect(frame.laneKey).toBe(laneKey('Nº 5', HEADER.stream, HEADER.epoch))
  })

  it('views the bytes it was given and copies none', () => {
    const bytes = encodeFrame(HEADER, BODY)
    const frame = openFrame(bytes)
    expect(frame.bytes).toBe(bytes)
    expect(frame.body.buffer).toBe(bytes.buffer)
  })

  it('names the fault', () => {
    const bytes = encodeFrame(HEADER, BODY)
    expect(readFrame(bytes.subarray(0, FRAME_HEADER_BYTES - 1))).toBe('short')
    expect(readFrame(bytes.subarray(0, -1))).toBe('length')
    expect(readFrame(Buffer.concat([bytes, Buffer.alloc(1)]))).toBe('length')
    expect(readFrame(changed(bytes, 0))).toBe('magic')
    expect(readFrame(changed(bytes, 3))).toBe('magic')
    expect(readFrame(changed(bytes, bytes.length - 1))).toBe('crc')
    expect(readFrame(changed(bytes, 16))).toBe('crc')
  })

  it('throws MESH_FRAME_CORRUPT from openFrame, with the fault', () => {
    expect(() => openFrame(Buffer.alloc(3))).toThrow(
      expect.objectContaining({
        code: 'MESH_FRAME_CORRUPT',
        details: { fault: 'short', bytes: 3 },
      }),
    )
  })
})

describe('u64', () => {
  it.each([0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1])('holds %d exactly', (value) => {
    const bytes = Buffer.alloc(8)
    writeU64(bytes, 0, value)
    expect(readU64(bytes, 0)).toBe(value)
    expect(bytes.readBigUInt64LE(0)).toBe(BigInt(value))
  })
})

function changed(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = copy[at]! ^ 1
  return copy
}
