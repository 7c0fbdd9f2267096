// What a sample takes in each encoding: counted, not measured, so the same everywhere.
import type { Form, ReadingKind } from '../load.ts'
import { messageEncoder, messageSamples } from '../messages.ts'
import { readingsOf } from '../readings.ts'
import type { Cell, Section } from '../report/report.ts'

const KINDS = { vehicle: 'fleet', truck: 'trucks' } as const satisfies Record<string, ReadingKind>
const SOURCES = 20
const BATCHES_EACH = 5
const BATCH = 100
const BASE_US = 1_790_000_000_000_000
const STREAM = 'vehicle.motion'

export function sampleBytes(): Section {
  const rows = Object.entries(KINDS).flatMap(([name, kind]) => {
    const json = bytesOf(kind, 'json', 1)
    const protobuf = bytesOf(kind, 'protobuf', 1)
    return [1, BATCH].map((each): Cell[] => {
      const frame = bytesOf(kind, 'frame', each)
      return [`${name}, ${each} a frame`, frame, json, protobuf, frame / json, frame / protobuf]
    })
  })
  return {
    title: 'Bytes of a sample',
    finding:
      'A frame says of each sample what JSON and Protobuf say of it one by one, and besides, once a frame: ' +
      'its stream, its place in a sequence without gaps, its schema and a checksum. All without ' +
      'compression, and without what the way adds: a record or a subject for each message of a broker, ' +
      '24 bytes for each message of a mesh, which holds as many frames as are ready.',
    tables: [
      {
        columns: [
          { name: 'sample' },
          { name: 'frame', unit: 'B' },
          { name: 'JSON', unit: 'B' },
          { name: 'Protobuf', unit: 'B' },
          { name: 'frame over JSON', unit: 'ratio' },
          { name: 'frame over Protobuf', unit: 'ratio' },
        ],
        rows,
      },
    ],
  }
}

/** Bytes of a sample, mean over some sources, `each` to a frame. */
function bytesOf(kind: ReadingKind, form: Form, each: number): number {
  const readings = readingsOf({ readings: kind, sources: SOURCES, seed: 1 }, BASE_US)
  const encode = messageEncoder(form, STREAM, readings.sources)
  let bytes = 0
  let samples = 0
  for (let batch = 0; batch < SOURCES * BATCHES_EACH; batch++) {
    const source = batch % SOURCES
    const made = readings.samples(source, samples, each)
    for (const message of messageSamples(form, made)) bytes += encode(source, message).length
    samples += made.length
  }
  return bytes / samples
}
