// The shape of skein.yaml: every key, its default and its check, in the order of the sample file.
// Keys are as people write them, units in the value ("5ms"); resolve.ts turns them into the numbers
// that programs use. The JSON Schema of this shape is what known-keys.ts walks for suggestions,
// environment names and `skein config show`.
//
// Messages are predicates ("is 0; expected …"): check.ts puts the key in front.
import { z } from 'zod'
import {
  ACK_LEVELS,
  checkName,
  FRAME_BYTES_MAX,
  SHARDS,
  TRANSPORTS,
  type CodecName,
  type TransportName,
  type WhenFull,
} from '../../mesh/index.ts'
import { AGGREGATES } from '../aggregator/accumulator.ts'
import { checkProcessing } from './processing-rules.ts'
import { retention } from './retention-settings.ts'
import { parsed, withUnit } from './unit-settings.ts'
import { parseBytes, parseDurationUs } from './units.ts'

/** What a full outbox does with the next sample. */
const WHEN_FULL = ['refuse', 'drop-oldest', 'drop-newest'] as const satisfies WhenFull[]

/** Codecs that carry samples. */
const BODY_CODECS = ['columnar', 'msgpack', 'json', 'protobuf'] as const satisfies CodecName[]

const duration = withUnit(parseDurationUs)
const positiveDuration = duration.refine((us) => us > 0, 'must be longer than nothing')
const size = withUnit(parseBytes)
const positiveSize = size.refine((bytes) => bytes > 0, 'must be more than nothing')
const count = z.int().min(0).max(1_000_000)
const streamName = z.string().superRefine((name, context) => {
  const fault = streamFault(name)
  if (fault !== undefined) context.addIssue({ code: 'custom', message: fault })
})
const endpoint = z
  .string()
  .regex(/^[a-z]+:\/\/\S+$/, 'is not an endpoint; expected one such as tcp://127.0.0.1:7701')
const hostPort = z
  .string()
  .regex(/^\S+:\d+$/, 'is not an address; expected one such as 127.0.0.1:9092')

const mesh = z
  .strictObject({
    name: z.string().min(1).prefault('skein'),
    key: z.string().min(1).optional(),
    founder: z.string().min(1).prefault('storage-1'),
    replicas: z.int().min(1).max(16).prefault(2),
    writeQuorum: z.int().min(1).prefault(2),
    shards: z
      .literal(SHARDS, `must be ${SHARDS}: it decides where every stored source belongs`)
      .prefault(SHARDS),
  })
  .superRefine(({ replicas, writeQuorum }, context) => {
    if (writeQuorum <= replicas) return
    const message = `is ${writeQuorum}, more than mesh.replicas (${replicas}): nothing would ever be acknowledged`
    context.addIssue({ code: 'custom', path: ['writeQuorum'], message })
  })

const credentials = {
  user: z.string().min(1).optional(),
  password: z.string().min(1).optional(),
}

/** One section per transport, so that switching is one word and loses no options. */
const TRANSPORT_SECTIONS = {
  memory: z.strictObject({ bind: endpoint.optional() }).prefault({}),
  zeromq: z
    .strictObject({
      bind: endpoint.prefault('tcp://127.0.0.1:0'),
      advertise: z.union([z.literal('auto'), endpoint]).prefault('auto'),
    })
    .prefault({}),
  zenoh: z.strictObject({ bridge: endpoint.prefault('ws://127.0.0.1:10000') }).prefault({}),
  hyperswarm: z
    .strictObject({
      bootstrap: z.array(hostPort).prefault([]),
      host: z.string().min(1).prefault('0.0.0.0'),
    })
    .prefault({}),
  nats: z
    .strictObject({
      servers: z.array(endpoint).min(1).prefault(['nats://127.0.0.1:4222']),
      ...credentials,
      token: z.string().min(1).optional(),
      replicas: z.int().min(1).max(5).prefault(1),
      maxAge: positiveDuration.prefault('1h'),
      maxBytes: positiveSize.prefault('1GiB'),
    })
    .prefault({}),
  kafka: z
    .strictObject({
      brokers: z.array(hostPort).min(1).prefault(['127.0.0.1:9092']),
      ...credentials,
      mechanism: z.enum(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']).prefault('PLAIN'),
      tls: z.boolean().prefault(false),
      replicas: z.int().min(1).max(16).prefault(1),
      maxAge: positiveDuration.prefault('1h'),
    })
    .prefault({}),
} satisfies Record<TransportName, z.ZodType>

const storage = z.strictObject({
  bucket: duration.refine((us) => us >= 1_000_000, 'must be at least 1s').prefault('1h'),
  retention: retention.prefault({}),
  compact: z.boolean().prefault(true),
  scrub: z
    .strictObject({
      every: positiveDuration.prefault('7d'),
      rate: positiveSize.prefault('8MiB'),
    })
    .prefault({}),
  budget: positiveSize.prefault('64MiB'),
  http: z
    .strictObject({
      host: z.string().min(1).prefault('127.0.0.1'),
      port: z.int().min(0).max(65_535).prefault(0),
      advertise: z
        .string()
        .regex(/^(auto|https?:\/\/\S+)$/, 'is not a URL; expected one such as http://10.0.0.5:7801')
        .prefault('auto'),
    })
    .prefault({}),
})

const outbox = z.strictObject({
  memory: positiveSize.prefault('64MiB'),
  disk: z
    .union([z.literal(false), z.string(), z.number()], {
      error: 'must be false or a size such as 1GiB',
    })
    .transform((text, context) => (text === false ? text : parsed(parseBytes, text, context)))
    .prefault(false),
  syncMs: z.int().min(0).max(60_000).prefault(100),
  whenFull: z.enum(WHEN_FULL).prefault('refuse'),
})

const publishedStream = z.strictObject({
  whenFull: z.enum(WHEN_FULL).optional(),
  codec: z.enum(BODY_CODECS).optional(),
  /** The path of a JSON Schema, or the schema itself; stream-schemas.ts reads and checks it. */
  schema: z
    .union([z.string(), z.record(z.string(), z.unknown())], {
      error: 'must be the path of a JSON Schema, or the schema itself',
    })
    .optional(),
})

const publisher = z
  .strictObject({
    linger: duration.prefault('5ms'),
    frameBytes: positiveSize
      .refine((bytes) => bytes <= FRAME_BYTES_MAX, `must not exceed ${FRAME_BYTES_MAX} bytes`)
      .prefault('16KiB'),
    codec: z.enum(BODY_CODECS).prefault('columnar'),
    compress: z.boolean().prefault(false),
    level: z.enum(ACK_LEVELS).prefault('synced'),
    outbox: outbox.prefault({}),
    streams: z.record(streamName, publishedStream).prefault({}),
  })
  .superRefine(({ frameBytes, outbox }, context) => {
    if (outbox.memory >= frameBytes) return
    const message = `is ${outbox.memory} bytes, less than one frame (publisher.frameBytes is ${frameBytes})`
    context.addIssue({ code: 'custom', path: ['outbox', 'memory'], message })
  })

const up = z.strictObject({
  storage: count.prefault(3),
  aggregators: count.prefault(1),
  vehicles: count.prefault(4),
  rate: z.number().positive().max(100_000).prefault(1),
  seed: z.int().min(0).prefault(1),
})

const windowSettings = z.strictObject({
  name: streamName,
  stream: streamName,
  every: positiveDuration,
  fields: z.array(z.string().min(1)).min(1),
  aggregates: z.array(z.enum(AGGREGATES)).min(1).prefault(['count', 'avg', 'min', 'max']),
  lateness: duration.prefault('2s'),
  idle: positiveDuration.optional(),
  output: streamName.optional(),
})

const thresholdSettings = z.strictObject({
  name: streamName,
  stream: streamName,
  field: z.string().min(1),
  above: z.number().optional(),
  below: z.number().optional(),
  hysteresis: z.number().min(0).prefault(0),
  output: streamName.optional(),
})

/** What an aggregator does that was told nothing: something to see in the fleet of `skein up`. */
const FLEET_PROCESSING: {
  windows: z.input<typeof windowSettings>[]
  thresholds: z.input<typeof thresholdSettings>[]
} = {
  windows: [
    {
      name: 'speed_10s',
      stream: 'vehicle.motion',
      every: '10s',
      fields: ['speed'],
      aggregates: ['count', 'avg', 'max'],
    },
  ],
  thresholds: [
    { name: 'speeding', stream: 'vehicle.motion', field: 'speed', above: 50, hysteresis: 2 },
  ],
}

export const settingsSchema = z.strictObject({
  mesh: mesh.prefault({}),
  transport: z.enum(TRANSPORTS).prefault('zeromq'),
  ...TRANSPORT_SECTIONS,
  seeds: z.array(endpoint).prefault(['tcp://127.0.0.1:7701']),
  data: z.string().min(1).prefault('./.skein'),
  storage: storage.prefault({}),
  publisher: publisher.prefault({}),
  up: up.prefault({}),
  aggregator: z
    .strictObject({
      windows: z.array(windowSettings).prefault([]),
      thresholds: z.array(thresholdSettings).prefault([]),
    })
    .superRefine(checkProcessing)
    .prefault(FLEET_PROCESSING),
})

/** Checked settings: defaults filled in, durations in µs and sizes in bytes, under the written keys. */
export type Settings = z.output<typeof settingsSchema>
export type WindowSettings = z.output<typeof windowSettings>
export type ThresholdSettings = z.output<typeof thresholdSettings>

function streamFault(name: string): string | undefined {
  try {
    checkName('stream', name)
    return undefined
  } catch (error) {
    return `is no stream name: ${error instanceof Error ? error.message : String(error)}`
  }
}
