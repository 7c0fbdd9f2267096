// A quick look at the codecs: samples a second, nanoseconds for a frame of one, bytes for a truck's
// row. Run it with `npx node bench/codec.ts`; other benches call the functions.
import { codecFor, createColumnarCodec } from '../mesh/codecs/index.ts'
import type { Codec } from '../mesh/codec.ts'
import { encodeFrame } from '../mesh/frame.ts'
import type { Epoch } from '../mesh/names.ts'
import type { Sample } from '../mesh/sample.ts'
import { compileSchema, type Schema } from '../mesh/schema.ts'
import { WorldRandom } from '../sim/random.ts'
import { TRUCK_SCHEMA, truckReadings } from '../sim/trucks.ts'

const FLEET_SCHEMA = compileSchema({
  type: 'object',
  properties: {
    lat: { type: 'number', 'x-unit': 'deg' },
    lon: { type: 'number', 'x-unit': 'deg' },
    speed: { type: 'number', 'x-unit': 'km/h' },
    heading: { type: 'number', 'x-unit': 'deg' },
    battery: { type: 'number', 'x-unit': '%' },
  },
})

export interface CodecSpeed {
  readonly encodeSamplesPerSecond: number
  readonly decodeSamplesPerSecond: number
  readonly bytesPerSample: number
  readonly encodeSingleNs: number
  readonly decodeSingleNs: number
}

/** Encodes and decodes fleet frames of `frameSamples` samples with five fields; best of five runs. */
export function measureEncode(
  codec: Codec = codecFor('columnar'),
  frameSamples = 100,
  samplesPerRun = 400_000,
): CodecSpeed {
  const frames = Array.from({ length: 40 }, (_, seed) => fleetSamples(frameSamples, seed + 1))
  const singles = frames.map((samples) => samples.slice(0, 1))
  const rounds = Math.ceil(samplesPerRun / (frames.length * frameSamples))
  const bodyOf = (samples: readonly Sample[]): Buffer =>
    Buffer.from(codec.encode(samples, FLEET_SCHEMA))
  const bodies = frames.map(bodyOf)
  const singleBodies = singles.map(bodyOf)
  const samples = rounds * frames.length * frameSamples
  const single = rounds * frames.length
  const encode = (from: readonly Sample[][]): void => {
    for (const frame of from) codec.encode(frame, FLEET_SCHEMA)
  }
  const decode = (from: readonly Uint8Array[], count: number): void => {
    for (const body of from) codec.decode(body, count, FLEET_SCHEMA)
  }
  return {
    encodeSamplesPerSecond: samples / bestSeconds(rounds, () => encode(frames)),
    decodeSamplesPerSecond: samples / bestSeconds(rounds, () => decode(bodies, frameSamples)),
    bytesPerSample: bodies.reduce((sum, { length }) => sum + length, 0) / 40 / frameSamples,
    encodeSingleNs: (bestSeconds(rounds, () => encode(singles)) / single) * 1e9,
    decodeSingleNs: (bestSeconds(rounds, () => decode(singleBodies, 1)) / single) * 1e9,
  }
}

/** Bytes a truck's row of 7 readings takes in frames of `frameRows`, header and names included. */
export function bytesPerTruckRow(frameRows = 128, compress = false, trucks = 20): number {
  const codec = createColumnarCodec({ compress })
  const schema: Schema = compileSchema(TRUCK_SCHEMA)
  let bytes = 0
  let rows = 0
  for (const truck of truckReadings({ seed: 123, trucks, rows: frameRows * 8 })) {
    for (let from = 0; from < truck.rows.length; from += frameRows) {
      const samples = truck.rows.slice(from, from + frameRows)
      const header = {
        kind: 'data',
        codec: 'columnar',
        source: truck.source,
        stream: 'truck.readings',
        epoch: '018f000000000001' as Epoch,
        sequence: 1 + from / frameRows,
        // The span is not what is measured: 128 rows at 10 s exceed the 10 minutes of a live frame,
        // as do the blocks that a store rewrites.
        firstUs: samples[0]!.timeUs,
        lastUs: samples[0]!.timeUs,
        count: samples.length,
        schemaId: schema.id,
      } as const
      bytes += encodeFrame(header, codec.encode(samples, schema)).length
      rows += samples.length
    }
  }
  return bytes / rows
}

/** A vehicle at 10 Hz with jitter: position to six decimals, speed to two, heading to one. */
function fleetSamples(count: number, seed: number): Sample[] {
  const world = new WorldRandom(seed)
  const random = (): number => world.next()
  let [lat, lon, speed, heading, battery] = [43.7 + random(), 7.4 + random(), 40, 180, 80]
  return Array.from({ length: count }, (_, row) => {
    lat += (random() - 0.5) * 4e-5
    lon += (random() - 0.5) * 4e-5
    speed = Math.max(0, speed + (random() - 0.5) * 2)
    heading = (heading + (random() - 0.5) * 4 + 360) % 360
    battery -= 0.001 * random()
    return {
      timeUs: 1_790_000_000_000_000 + row * 100_000 + Math.floor(random() * 500),
      fields: {
        lat: round(lat, 1e6),
        lon: round(lon, 1e6),
        speed: round(speed, 1e2),
        heading: round(heading, 1e1),
        battery: round(battery, 1e1),
      },
    }
  })
}

function round(value: number, power: number): number {
  return Math.round(value * power) / power
}

function bestSeconds(rounds: number, run: () => void): number {
  let best = Infinity
  for (let attempt = 0; attempt < 5; attempt++) {
    const startedMs = performance.now()
    for (let round = 0; round < rounds; round++) run()
    best = Math.min(best, (performance.now() - startedMs) / 1000)
  }
  return best
}

if (import.meta.main) {
  for (const name of ['columnar', 'msgpack', 'json', 'protobuf'] as const) {
    const speed = measureEncode(codecFor(name))
    console.log(
      name.padEnd(9),
      `encode ${(speed.encodeSamplesPerSecond / 1e6).toFixed(2)} M samples/s`,
      `decode ${(speed.decodeSamplesPerSecond / 1e6).toFixed(2)} M samples/s`,
      `${speed.bytesPerSample.toFixed(2)} B/sample (body)`,
      `single: encode ${speed.encodeSingleNs.toFixed(0)} ns, decode ${speed.decodeSingleNs.toFixed(0)} ns`,
    )
  }
  console.log(
    `truck row ${bytesPerTruckRow().toFixed(2)} B, with zstd ${bytesPerTruckRow(128, true).toFixed(2)} B`,
  )
}
