// What programs work with: the settings of skein.yaml as plain data, units in the names, paths
// absolute, defaults that depend on other keys filled in. JSON-able throughout.
import type { AckLevel, CodecName, JsonSchema, TransportName, WhenFull } from '../../mesh/index.ts'
import { DEFAULT_CLASS } from '../../storage/index.ts'
import type { ThresholdDefinition } from '../aggregator/thresholds.ts'
import type { WindowDefinition } from '../aggregator/windows.ts'
import { outputOf } from './processing-rules.ts'
import {
  settingsSchema,
  type Settings,
  type ThresholdSettings,
  type WindowSettings,
} from './settings.ts'

export interface Config {
  readonly mesh: {
    readonly name: string
    /** A secret that the processes of the mesh share. */
    readonly key?: string | undefined
    /** The storage peer that begins the mesh, where no seed says who does. */
    readonly founder: string
    /** R: the stores that own a shard. */
    readonly replicas: number
    /** W: the stores that must have synced a frame before it is acknowledged, or what `publisher.level` says; 1 <= W <= R. */
    readonly writeQuorum: number
    readonly shards: number
  }
  readonly transport: TransportChoice
  readonly seeds: readonly string[]
  readonly dataPath: string
  readonly storage: {
    readonly bucketUs: number
    /** Those named, in the order written, then `default`. */
    readonly retention: readonly RetentionSettings[]
    /** Whether buckets that are over become columnar blocks. */
    readonly compact: boolean
    readonly scrub: { readonly everyUs: number; readonly bytesPerSecond: number }
    readonly budgetBytes: number
    readonly http: {
      readonly host: string
      readonly port: number
      readonly advertise: string
    }
  }
  readonly publisher: {
    readonly lingerMs: number
    readonly frameBytes: number
    readonly codec: CodecName
    readonly compress: boolean
    /** What a store must say of a frame before it counts towards W. */
    readonly level: AckLevel
    readonly outbox: OutboxConfig
    readonly streams: Readonly<Record<string, StreamConfig>>
  }
  readonly up: {
    readonly storage: number
    readonly aggregators: number
    readonly vehicles: number
    /** Of each vehicle. */
    readonly samplesPerSecond: number
    readonly seed: number
  }
  readonly aggregator: {
    readonly windows: readonly WindowDefinition[]
    readonly thresholds: readonly ThresholdDefinition[]
  }
}

export interface RetentionSettings {
  readonly name: string
  readonly streams: readonly string[]
  /** Absent: no limit. */
  readonly ageUs?: number
  readonly bytes?: number
}

/** The transport in use with its options; those of the others stay behind. */
export type TransportChoice = {
  readonly [Name in TransportName]: { readonly name: Name } & Readonly<Settings[Name]>
}[TransportName]

export interface OutboxConfig {
  readonly memoryBytes: number
  /** Absent: memory only. */
  readonly diskBytes?: number
  readonly syncMs: number
  readonly whenFull: WhenFull
}

export interface StreamConfig {
  readonly whenFull: WhenFull
  readonly codec: CodecName
  readonly schema?: JsonSchema
}

/** `dataPath` is settings.data as a path to open; `schemas` are those of the published streams. */
export function resolveConfig(
  settings: Settings,
  dataPath: string,
  schemas: ReadonlyMap<string, JsonSchema>,
): Config {
  const { mesh, transport, seeds, storage, up, aggregator } = settings
  return {
    mesh,
    transport: { name: transport, ...settings[transport] } as TransportChoice,
    seeds,
    dataPath,
    storage: {
      bucketUs: storage.bucket,
      retention: resolveRetention(settings),
      compact: storage.compact,
      scrub: { everyUs: storage.scrub.every, bytesPerSecond: storage.scrub.rate },
      budgetBytes: storage.budget,
      http: storage.http,
    },
    publisher: resolvePublisher(settings, schemas),
    up: {
      storage: up.storage,
      aggregators: up.aggregators,
      vehicles: up.vehicles,
      samplesPerSecond: up.rate,
      seed: up.seed,
    },
    aggregator: {
      windows: aggregator.windows.map(resolveWindow),
      thresholds: aggregator.thresholds.map(resolveThreshold),
    },
  }
}

/** What an empty file gives; `dataPath` is relative to wherever it is used. */
export const defaultConfig: Config = (() => {
  const settings = settingsSchema.parse({})
  return resolveConfig(settings, settings.data, new Map())
})()

function resolveRetention({ storage: { retention } }: Settings): RetentionSettings[] {
  const classes = Object.entries(retention.classes).map(([name, each]) => ({ name, ...each }))
  const all = [...classes, { ...retention, name: DEFAULT_CLASS, streams: ['*'] }]
  return all.map(({ name, streams, age, size }) => ({
    name,
    streams,
    ...(age !== Infinity && { ageUs: age }),
    ...(size !== Infinity && { bytes: size }),
  }))
}

function resolvePublisher(
  { publisher }: Settings,
  schemas: ReadonlyMap<string, JsonSchema>,
): Config['publisher'] {
  const { linger, frameBytes, codec, compress, level, outbox, streams } = publisher
  const { memory, disk, syncMs, whenFull } = outbox
  const resolved = Object.entries(streams).map(([name, stream]): [string, StreamConfig] => {
    const schema = schemas.get(name)
    const own = { whenFull: stream.whenFull ?? whenFull, codec: stream.codec ?? codec }
    return [name, schema === undefined ? own : { ...own, schema }]
  })
  return {
    lingerMs: linger / 1000,
    frameBytes,
    codec,
    compress,
    level,
    outbox: {
      memoryBytes: memory,
      ...(disk === false ? {} : { diskBytes: disk }),
      syncMs,
      whenFull,
    },
    streams: Object.fromEntries(resolved),
  }
}

function resolveWindow(window: WindowSettings): WindowDefinition {
  const { name, stream, every, lateness, idle, fields, aggregates } = window
  return {
    name,
    stream,
    output: outputOf(window),
    everyUs: every,
    latenessUs: lateness,
    // As long as a sample of the window may take: its length, then its lateness.
    idleUs: idle ?? every + lateness,
    fields,
    aggregates,
  }
}

function resolveThreshold(threshold: ThresholdSettings): ThresholdDefinition {
  const { name, stream, field, above, below, hysteresis } = threshold
  return {
    name,
    stream,
    output: outputOf(threshold),
    field,
    ...(above === undefined ? {} : { above }),
    ...(below === undefined ? {} : { below }),
    hysteresis,
  }
}
