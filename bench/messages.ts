// What brokers carry: the same readings as JSON, as Protobuf, or as Skein's frames. Consumers decode all of
// it, as they would to work with it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import {
  codecFor,
  compileSchema,
  encodeFrame,
  laneKey,
  newEpoch,
  openFrame,
  systemClock,
  systemRandom,
  type Fields,
  type LaneKey,
  type Sample,
  type Schema,
} from '../mesh/index.ts'
import { READING_KINDS, type Form } from './load.ts'
import { readingsOf } from './readings.ts'
import { recordingInUse } from './recording.ts'
import type { Consumed } from './systems/system.ts'

type Encoder = (source: number, samples: readonly Sample[]) => Buffer
type Decoder = (bytes: Buffer) => readonly Consumed[]

/** The samples that one message carries each, of those that are published at once. */
export function messageSamples(
  form: Form,
  samples: readonly Sample[],
): readonly (readonly Sample[])[] {
  if (form === 'frame' || samples.length === 1) return [samples]
  return samples.map((sample) => [sample])
}

/**
 * Makes messages of samples of one source, given by its index in `sources`: all of them in a frame, and
 * the only one in other forms. `channelName` is the stream of the frames.
 */
export function messageEncoder(
  form: Form,
  channelName: string,
  sources: readonly string[],
): Encoder {
  switch (form) {
    case 'frame':
      return frameEncoder(channelName, sources)
    case 'protobuf':
      return protobufEncoder(sources)
    case 'native':
    case 'json':
      return (source, [sample]) => jsonMessage(sources[source]!, sample!)
  }
}

/** The samples again; those of JSON and Protobuf have whole milliseconds. @throws Error on other bytes. */
export function messageDecoder(form: Form): Decoder {
  switch (form) {
    case 'frame':
      return frameDecoder()
    case 'protobuf':
      return protobufDecoder()
    case 'native':
    case 'json':
      return (bytes) => {
        const message = JSON.parse(bytes.toString()) as JsonMessage
        const timeUs = Date.parse(message.timestamp) * 1000
        return [{ source: message.vehicle_id, timeUs, fields: message }]
      }
  }
}

/** Its fields stand beside these. */
type JsonMessage = Fields & { readonly vehicle_id: string; readonly timestamp: string }

function jsonMessage(source: string, { timeUs, fields }: Sample): Buffer {
  const timestamp = new Date(msOf(timeUs)).toISOString()
  return Buffer.from(JSON.stringify({ vehicle_id: source, timestamp, ...fields }))
}

const msOf = (timeUs: number): number => Math.floor(timeUs / 1000)

/** Frames as a publisher would make them: an epoch of its own, sequences by source. */
function frameEncoder(stream: string, sources: readonly string[]): Encoder {
  const codec = codecFor('columnar')
  const schemas = readingSchemas()
  const epoch = newEpoch(systemClock.nowUs(), systemRandom)
  const lanes = sources.map((source) => ({ key: laneKey(source, stream, epoch), sequence: 0 }))
  let schema: Schema | undefined
  return (source, samples) => {
    schema ??= schemaOf(schemas, samples[0]!)
    const lane: { readonly key: LaneKey; sequence: number } = lanes[source]!
    lane.sequence += 1
    const times = samples.map(({ timeUs }) => timeUs)
    return encodeFrame(
      {
        kind: 'data',
        codec: codec.name,
        source: sources[source]!,
        stream,
        epoch,
        sequence: lane.sequence,
        firstUs: Math.min(...times),
        lastUs: Math.max(...times),
        count: samples.length,
        schemaId: schema.id,
      },
      codec.encode(samples, schema),
      lane.key,
    )
  }
}

function frameDecoder(): Decoder {
  const codec = codecFor('columnar')
  const byId = new Map(readingSchemas().map((schema) => [schema.id, schema]))
  return (bytes) => {
    const { body, count, schemaId } = openFrame(bytes)
    const schema = byId.get(schemaId)
    if (schema === undefined) throw new Error(`schema ${schemaId} is of no readings of the bench`)
    return codec.decode(body, count, schema)
  }
}

/** Of all kinds of readings: a mesh's schemas travel as frames of their own, a broker's do not. */
function readingSchemas(): Schema[] {
  const kinds = [...READING_KINDS, ...(recordingInUse() ? ['recording' as const] : [])]
  return kinds.map((readings) =>
    compileSchema(readingsOf({ readings, sources: 1, seed: 1 }, 0).schema),
  )
}

function schemaOf(schemas: readonly Schema[], { fields }: Sample): Schema {
  const names = Object.keys(fields).toSorted().join()
  const schema = schemas.find((each) => each.fields.join() === names)
  if (schema === undefined) throw new RangeError(`no readings of the bench have fields ${names}`)
  return schema
}

/** Its fields stand beside these. */
interface ProtobufMessage {
  readonly source: string
  readonly timestamp: { toNumber(): number }
}

function protobufEncoder(sources: readonly string[]): Encoder {
  const type = readingType()
  let isChecked = false
  return (source, [sample]) => {
    const { timeUs, fields } = sample!
    // What the type does not know it would leave out silently.
    if (!isChecked) checkFields(type, fields)
    isChecked = true
    const message = { source: sources[source]!, timestamp: msOf(timeUs), ...fields }
    const { buffer, byteOffset, byteLength } = type.encode(message).finish()
    return Buffer.from(buffer, byteOffset, byteLength)
  }
}

function protobufDecoder(): Decoder {
  const type = readingType()
  return (bytes) => {
    const message = type.decode(bytes) as unknown as ProtobufMessage
    const timeUs = message.timestamp.toNumber() * 1000
    return [{ source: message.source, timeUs, fields: message as unknown as Fields }]
  }
}

function readingType(): protobuf.Type {
  const text = readFileSync(join(import.meta.dirname, 'messages.proto'), 'utf8')
  return protobuf.parse(text, { keepCase: true }).root.lookupType('Reading')
}

function checkFields(type: protobuf.Type, fields: Sample['fields']): void {
  for (const name of Object.keys(fields)) {
    if (type.fields[name] === undefined) throw new RangeError(`messages.proto has no field ${name}`)
  }
}
