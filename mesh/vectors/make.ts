// The golden vectors: frames that every encoder and decoder of this format, in any language, has to
// agree on. `npx node mesh/vectors/make.ts` writes one JSON file for each: header, schema, samples (in
// the spelling of the JSON codec) and the frame as hex. A change to these files is a change to the
// wire format: stored frames of that kind can then no longer be read, so add a codec or a version.
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { codecFor, createColumnarCodec } from '../codecs/index.ts'
import { type CodecName, encodeFrame, type FrameHeader, NO_SCHEMA, openFrame } from '../frame.ts'
import type { Epoch } from '../names.ts'
import type { Fields, Sample } from '../sample.ts'
import { compileSchema, type JsonSchema, type Schema, schemaFrame } from '../schema.ts'

export interface Vector {
  readonly name: string
  readonly why: string
  readonly header: FrameHeader
  readonly schema: JsonSchema | null
  /** As the JSON codec spells them; null for frames without samples. */
  readonly samples: readonly unknown[] | null
  /** The body of frames without samples, which is JSON or nothing. */
  readonly body?: string
  /** zstd may compress otherwise from version to version: such bytes need only decode. */
  readonly isDecodeOnly?: boolean
  readonly frame: string
}

const START_US = 1_790_000_000_000_000
const EPOCH = '01a0c4506c007f3e' as Epoch

const MOTION = compileSchema({
  type: 'object',
  'x-key': 'vehicle.motion',
  properties: {
    speed: { type: 'number', 'x-unit': 'km/h', 'x-vss': 'Vehicle.Speed' },
    heading: { type: 'number', 'x-unit': 'deg' },
    door: { type: 'string' },
    moving: { type: 'boolean' },
  },
})

/** Of each type a field may have; the example of docs/wire-format.md, "Protobuf". */
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

export const EDGE_NUMBERS = [
  0, -0, 1, -1, NaN, Infinity, -Infinity, Number.MIN_VALUE, -Number.MIN_VALUE,
  Number.MAX_VALUE, 2.2250738585072014e-308, 0.1, 0.1 + 0.2, Math.PI, 1e21, 1e-7,
  2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53 - 1, 2 ** 53, 1 - 2 ** 53, -(2 ** 53), 127, 128, -33,
]

/** All vectors, made anew. */
export function makeVectors(): Vector[] {
  return [...columnarVectors(), ...otherCodecVectors(), ...kindVectors()]
}

function columnarVectors(): Vector[] {
  const speeds = (values: readonly Fields['x'][]): Sample[] =>
    rows(values.length, (i) => ({ speed: values[i]! }))
  const random = [0.1, 0.7182818284590452, 1 / 3, 2 / 3, 0.5772156649015329, -0.9159655941772190]
  return [
    data('columnar-single', 'A frame of one sample: what a quiet source sends.', [
      { timeUs: START_US, fields: { speed: 12.5, heading: 270, door: 'closed', moving: true } },
    ]),
    data(
      'columnar-steps',
      'Regular times, decimal steps, and text that repeats; the worked example of docs/wire-format.md.',
      rows(4, (i) => ({ speed: [50, 50.5, 51.2, 50.9][i]!, door: 'closed' })),
    ),
    data(
      'columnar-offsets',
      'Values that jump within a small range are packed above the least, not as steps.',
      speeds([3, 90, 5, 88, 4, 91, 3, 90]),
    ),
    data(
      'columnar-varints',
      'One large jump among small steps.',
      speeds(Array.from({ length: 24 }, (_, i) => (i === 11 ? 9e9 : (i * 7) % 20))),
    ),
    data('columnar-raw', 'Numbers with no pattern, stored as they are.', speeds(random)),
    data('columnar-xor', 'Numbers that were float32: XOR.', speeds(random.map(Math.fround))),
    data(
      'columnar-specials',
      'NaN, infinity and -0 among decimals, one of them first.',
      speeds([NaN, ...Array.from({ length: 14 }, (_, i) => i / 10), -0, Infinity]),
    ),
    data('columnar-edges', 'Every awkward number in one column.', speeds(EDGE_NUMBERS)),
    data(
      'columnar-wide',
      'Whole numbers of 53 bits, and steps as wide.',
      speeds([2 ** 53 - 1, 0, 2 ** 52, 1, 2 ** 53 - 2]),
    ),
    data(
      'columnar-gaps',
      'Fields that come and go, and fields the schema does not name.',
      rows(11, (i) => ({
        ...(i % 2 === 0 ? { speed: i } : {}),
        ...(i === 10 ? { moving: false } : {}),
        ...(i < 3 ? { extra: `#${i}` } : {}),
        ...(i === 5 ? { '': true } : {}),
      })),
    ),
    data(
      'columnar-strings',
      'Strings that repeat and strings that do not, beyond ASCII and beyond 16 bits, and empty.',
      rows(9, (i) => ({
        door: ['open', 'closed', 'ajar'][(i * i) % 3]!,
        note: ['', 'é', '速度', '\u{1f69a}', '\0', '"', 'a'.repeat(200), 'b', '\ufeff'][i]!,
      })),
    ),
    data(
      'columnar-booleans',
      'Nine booleans take two bytes.',
      rows(9, (i) => ({ moving: i % 3 === 0 })),
    ),
    data(
      'columnar-mixed',
      'Numbers, booleans and strings in one field, and a field named __proto__.',
      rows(7, (i) => ({
        speed: ([1, 'fast', true, 2.5, false, 'slow', -0] as const)[i]!,
        ['__proto__']: i,
        constructor: 'x',
      })),
    ),
    data(
      'columnar-disorder',
      'Times out of order, repeated, and at the greatest safe integer.',
      [0, -7, -600_000_000, 0, -1].map((back, i) => ({
        timeUs: Number.MAX_SAFE_INTEGER + back,
        fields: { speed: i },
      })),
    ),
    data(
      'columnar-zstd',
      'A compressed body.',
      rows(40, (i) => ({ note: `vehicle ${i} reports: the door is closed` })),
      { codec: createColumnarCodec({ compress: true }), isDecodeOnly: true },
    ),
  ]
}

function otherCodecVectors(): Vector[] {
  const samples = rows(EDGE_NUMBERS.length, (i) => ({
    speed: EDGE_NUMBERS[i]!,
    ...(i % 3 === 0 ? { door: 'Straße \u{1f69a}' } : { moving: i % 2 === 0 }),
    ...(i === 4 ? { ['__proto__']: 1 } : {}),
  }))
  return [
    data('msgpack-edges', 'MessagePack: every awkward number, three sets of fields.', samples, {
      codec: codecFor('msgpack'),
    }),
    data('json-edges', 'JSON: every awkward number, three sets of fields.', samples, {
      codec: codecFor('json'),
    }),
    data('protobuf-edges', 'Protobuf: every awkward number, three sets of fields.', samples, {
      codec: codecFor('protobuf'),
    }),
    data(
      'protobuf-types',
      'Protobuf: a field of each type, values of none of them, and a field the schema does not name.',
      [
        {
          timeUs: START_US,
          fields: { door: 'front', 'doors open': 2, moving: false, speed: 12.5, state: 'stopping' },
        },
        { timeUs: START_US + 1, fields: { door: '', 'doors open': -1, state: 7, kneeling: true } },
        { timeUs: START_US + 2, fields: { 'doors open': 2 ** 53 - 1, speed: 0 } },
        { timeUs: START_US + 3, fields: { 'doors open': -0, moving: 'yes', speed: true, door: 1 } },
        { timeUs: START_US + 4, fields: {} },
      ],
      { codec: codecFor('protobuf'), schema: DOORS },
    ),
  ]
}

function kindVectors(): Vector[] {
  const none = { firstUs: 0, lastUs: 0, count: 0, schemaId: NO_SCHEMA }
  const schema = openFrame(schemaFrame(MOTION))
  const longest = { source: `${'é'.repeat(127)}x`, stream: `a.b_c-${'9'.repeat(249)}` }
  return [
    plain(
      'skip',
      'Sequences 3 to 5 (30 samples) and 9 (one) were dropped by their publisher.',
      {
        ...header('json', []),
        kind: 'skip', sequence: 10, firstUs: START_US, lastUs: START_US, count: 31,
        schemaId: NO_SCHEMA,
      },
      '{"runs":[[3,5,30],[9,9,1]]}',
    ),
    plain('end', 'Nothing follows sequence 11 in its lane; the longest names.', {
      ...header('none', []),
      ...none,
      ...longest,
      kind: 'end', sequence: 11,
    }),
    plain('schema', 'The schema of the other vectors.', headerOf(schema), schema.body.toString()),
  ]
}

function data(
  name: string,
  why: string,
  samples: readonly Sample[],
  options: { codec?: ReturnType<typeof codecFor>; schema?: Schema; isDecodeOnly?: boolean } = {},
): Vector {
  const { codec = codecFor('columnar'), schema = MOTION, isDecodeOnly } = options
  const head = header(codec.name, samples, schema)
  return {
    name, why, header: head, schema: schema.json, samples: spelled(samples),
    ...(isDecodeOnly === undefined ? {} : { isDecodeOnly }),
    frame: encodeFrame(head, codec.encode(samples, schema)).toString('hex'),
  }
}

function plain(name: string, why: string, head: FrameHeader, body = ''): Vector {
  const frame = encodeFrame(head, Buffer.from(body)).toString('hex')
  return { name, why, header: head, schema: null, samples: null, body, frame }
}

function header(codec: CodecName, samples: readonly Sample[], schema: Schema = MOTION): FrameHeader {
  const times = samples.map(({ timeUs }) => timeUs)
  return {
    kind: 'data', codec, source: 'VH001', stream: 'vehicle.motion', epoch: EPOCH, sequence: 7,
    firstUs: Math.min(...times), lastUs: Math.max(...times), count: samples.length,
    schemaId: schema.id,
  }
}

/** The header fields of a frame, without its bytes. */
export function headerOf(frame: FrameHeader): FrameHeader {
  const { kind, codec, source, stream, epoch, sequence, firstUs, lastUs, count, schemaId } = frame
  return { kind, codec, source, stream, epoch, sequence, firstUs, lastUs, count, schemaId }
}

function rows(count: number, fields: (row: number) => Fields): Sample[] {
  return Array.from({ length: count }, (_, row) => ({
    timeUs: START_US + row * 100_000,
    fields: fields(row),
  }))
}

export function spelled(samples: readonly Sample[]): unknown[] {
  return JSON.parse(Buffer.from(codecFor('json').encode(samples, MOTION)).toString()) as unknown[]
}

if (import.meta.main) {
  for (const file of readdirSync(import.meta.dirname)) {
    if (file.endsWith('.json')) rmSync(join(import.meta.dirname, file))
  }
  for (const vector of makeVectors()) {
    const file = join(import.meta.dirname, `${vector.name}.json`)
    writeFileSync(file, `${JSON.stringify(vector, null, 2)}\n`)
  }
}
