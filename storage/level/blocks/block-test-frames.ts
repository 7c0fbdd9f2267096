// Frames for the tests of blocks: as a publisher sends them, and as only a strange one does.
import { codecFor, compileSchema, encodeFrame, NO_SCHEMA, openFrame } from '../../../mesh/index.ts'
import type { Epoch, FrameHeader, Sample, Schema, SchemaId } from '../../../mesh/index.ts'
import type { StoredFrame } from '../../frame-store.ts'

export const SCHEMA = compileSchema({
  type: 'object',
  properties: Object.fromEntries(
    ['a', 'b b', 'speed', '__proto__'].map((name) => [name, { type: 'number' }]),
  ),
})
export const OTHER_SCHEMA = compileSchema({ type: 'object', properties: {} })

export function schemaOf(id: SchemaId): Schema | undefined {
  return [SCHEMA, OTHER_SCHEMA].find((schema) => schema.id === id)
}

const DEFAULTS = {
  kind: 'data',
  codec: 'columnar',
  source: 'VH001',
  stream: 'vehicle.motion',
  epoch: '019b76da7fdc0001' as Epoch,
  firstUs: 0,
  lastUs: 0,
  count: 0,
  schemaId: NO_SCHEMA,
} as const

/** A frame of one lane with this body; the header may say anything else. */
export function frameOf(
  body: Uint8Array,
  header: Partial<FrameHeader> & Pick<FrameHeader, 'sequence'>,
  ingestUs: number,
): StoredFrame {
  const bytes = encodeFrame({ ...DEFAULTS, ...header }, body)
  return { frame: openFrame(bytes), ingestUs }
}

/** A frame of these samples as our publisher makes it. */
export function sampleFrame(
  samples: readonly Sample[],
  sequence: number,
  schema = SCHEMA,
  delayUs = 0,
  codec: 'columnar' | 'msgpack' = 'columnar',
): StoredFrame {
  const times = samples.map(({ timeUs }) => timeUs)
  const [firstUs, lastUs] = [Math.min(...times), Math.max(...times)]
  const body = codecFor(codec).encode(samples, schema)
  const count = samples.length
  const header = { sequence, codec, firstUs, lastUs, count, schemaId: schema.id }
  return frameOf(body, header, lastUs + delayUs)
}

/** Samples as frames of `each`, numbered from 1. */
export function sampleFrames(
  samples: readonly Sample[],
  each: number,
  schema: Schema,
  delayUs: () => number = () => 0,
): StoredFrame[] {
  const frames: StoredFrame[] = []
  for (let from = 0; from < samples.length; from += each) {
    const part = samples.slice(from, from + each)
    frames.push(sampleFrame(part, frames.length + 1, schema, delayUs()))
  }
  return frames
}
