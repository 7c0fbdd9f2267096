// What the bench knows of a system it measures: how its servers are started (by the process that runs
// the bench) and how its clients publish and consume (in processes of their own). Each system has its
// file; systems/ at the top of the repository only installs and starts the foreign servers.
import type { AckLevel, Fields, JsonSchema, Sample } from '../../mesh/index.ts'
import type { Form } from '../load.ts'

export const BENCH_SYSTEM_NAMES = [
  'skein',
  'kafka',
  'nats',
  'nats-core',
  'zenoh',
  'zeromq-raw',
] as const
export type BenchSystemName = (typeof BENCH_SYSTEM_NAMES)[number]

/**
 * What a receipt vouches for, the same for every system. received: in the memory of the server.
 * written: handed to the operating system, synced some time later. synced: fsync has returned.
 */
export type Tier = AckLevel

/** default: as the vendor ships it. latency: nothing waits for company. throughput: large batches. */
export const TUNINGS = ['default', 'latency', 'throughput'] as const
export type Tuning = (typeof TUNINGS)[number]

/** One way to run one system. */
export interface Setting {
  readonly system: BenchSystemName
  readonly tier: Tier
  readonly tuning: Tuning
  /** zstd, or the nearest that the system has. */
  readonly compress: boolean
  /** Independent copies that a receipt vouches for; brokers run as one node here. */
  readonly copies: number
  /** Storage peers, where the system has any. Default: as many as copies. */
  readonly stores?: number
  /** Partitions of a Kafka topic, messages between its syncs, and whatever else only one system has. */
  readonly extra?: Readonly<Record<string, number>>
}

export interface BenchSystem {
  readonly name: BenchSystemName
  /** Keeps what it is given: has receipts, fsyncs, a history. */
  readonly persists: boolean
  /** The tiers that it can keep. */
  readonly tiers: readonly Tier[]
  /** Syncs all batches whatever a receipt waits for: the lower tiers cost it as many fsyncs. */
  readonly syncsAnyway?: boolean
  /** Why it cannot run here and what to do about it; undefined when it can. */
  missing(): string | undefined
  /** Starts its servers with their data below `directory`. Settings that need other servers get other ones. */
  start(setting: Setting, directory: string): Promise<Deployment>
  /** Settings with the same key share a deployment. */
  deploymentKey(setting: Setting): string
}

/** The servers of a system, running. */
export interface Deployment extends AsyncDisposable {
  /** What to account for; asked anew after an outage. Empty for a system without servers. */
  servers(): readonly ServerProcess[]
  /** Versions by program, and the settings that were given, for the result. */
  readonly versions: Readonly<Record<string, string>>
  readonly configuration: Readonly<Record<string, unknown>>
  /** A place of its own for one run: a new topic, stream or name with nothing in it. */
  channel(setting: Setting, name: string): Promise<Channel>
  /** SIGKILL to all servers; they keep their data. */
  kill(): Promise<void>
  /** Starts them again on the same ports and data. Resolves when they answer. */
  restart(): Promise<void>
}

export interface ServerProcess {
  readonly name: string
  readonly pid: number
}

/** All a client process needs to take part in one run; travels as JSON. */
export interface Channel {
  readonly setting: Setting
  /** Stream, topic or key prefix. */
  readonly name: string
  readonly address: string
  /** What only that system's clients read. */
  readonly extra?: Readonly<Record<string, string | number | boolean>>
}

export interface ProducerOptions {
  readonly channel: Channel
  readonly form: Form
  readonly samplesPerFrame: number
  /** Names by the numbers that publish() is given. */
  readonly sources: readonly string[]
  readonly schema: JsonSchema
  /** Distinguishes the processes of one run. */
  readonly process: number
  /** Of a broker's producer: makes the messages, instead of `form`. */
  readonly encode?: (source: number, samples: readonly Sample[]) => Buffer
  /** Samples that are vouched for at the setting's tier. A batch may be told in parts. */
  readonly onReceipt: (samples: readonly { readonly timeUs: number }[]) => void
  /** Samples given up: refused, or dropped. They count as lost. */
  readonly onLost: (count: number, why: string) => void
}

export interface Producer {
  /** Whether onReceipt is ever called. */
  readonly hasReceipts: boolean
  /** Takes the samples of one frame, all of one source; never waits. */
  publish(source: number, samples: readonly Sample[]): void
  /** What was published before leaves as soon as it can: the generator has nothing more this moment. */
  kick?(): void
  /** Bytes of messages handed to the transport or socket since it was opened. */
  sentBytes(): number
  /** Messages, or frames, since it was opened. */
  sentMessages(): number
  close(): Promise<void>
}

export interface ConsumerOptions {
  readonly channel: Channel
  readonly form: Form
  /** From the beginning of the channel; default: from now on. */
  readonly fromStart?: boolean
  /** Names this process: consumers of one run each get everything. */
  readonly process: number
  /** `source`: of all of them, where they do not name it themselves. */
  readonly onSamples: (samples: readonly Consumed[], source?: string) => void
}

/** A sample as it was decoded; readings without fields of their own have none. */
export interface Consumed {
  readonly timeUs: number
  readonly source?: string
  readonly fields?: Fields
}

export interface Consumer {
  close(): Promise<void>
}

/** The part of a system that client processes load. */
export interface BenchClient {
  openProducer(options: ProducerOptions): Promise<Producer>
  /** Resolves when whatever is published from now on reaches it. */
  openConsumer(options: ConsumerOptions): Promise<Consumer>
}
