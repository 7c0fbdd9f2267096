// What a system is to the code that installs, starts and stops all of them alike. Each has its own file:
// kafka.ts, nats.ts, zenoh.ts.
import type { RunOptions, Tool } from './tools.ts'

export const SYSTEM_NAMES = ['kafka', 'nats', 'zenoh'] as const
export type SystemName = (typeof SYSTEM_NAMES)[number]

export interface NatsOptions {
  /** fsync before every acknowledgement, instead of every two minutes (`sync_interval: always`). */
  readonly syncAlways?: boolean
  /** Largest message that it takes; default 8 MiB. Its own default, which many servers have, is 1 MiB. */
  readonly messageBytesMax?: number
  readonly user?: string
  readonly password?: string
  readonly token?: string
}

export interface KafkaOptions {
  /** SASL/PLAIN on the clients' listener, with this one user. */
  readonly sasl?: { readonly username: string; readonly password: string }
  /** Heap and garbage collector as Kafka's start scripts have them, instead of half a heap. */
  readonly vendorJava?: boolean
  /** A broker of a cluster that another start began, which has its controller. */
  readonly joins?: KafkaCluster & { readonly nodeId: number }
}

export interface KafkaCluster {
  readonly clusterId: string
  /** `host:port` of node 1. */
  readonly controller: string
}

export interface ZenohOptions {
  /** Other bridges to connect to, by their `zenohAddress`. */
  readonly connect?: readonly string[]
}

export interface SystemOptions {
  readonly nats?: NatsOptions
  readonly kafka?: KafkaOptions
  readonly zenoh?: ZenohOptions
}

/** Where one start of a system runs. */
export interface Place extends SystemOptions {
  /** Where it is installed. */
  readonly installPath: string
  /** Its configuration, its log and its data. */
  readonly dataPath: string
  /** The address it listens on. */
  readonly host: string
  /** Clients connect here. */
  readonly port: number
  /** The second port of those that have one: Kafka's controller, the bridge's other bridges. */
  readonly peerPort: number
}

export interface Program {
  readonly command: string
  readonly words: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export interface System {
  readonly name: SystemName
  readonly version: string
  /** What `npm run systems` calls it. */
  readonly title: string
  readonly hasPeerPort: boolean
  readonly installTools: readonly Tool[]
  readonly runTools: readonly Tool[]
  /** Without one of these it is not installed. Relative to the folder it is installed in. */
  readonly files: readonly string[]
  /** How long it may take to its first answer, on a machine that has other things to do. */
  readonly startLimitMs: number
  install(installPath: string, options: RunOptions): Promise<void>
  /** What the installed program says of its version; to be sure that the right one was built. */
  installedVersion(installPath: string): Promise<string>
  /** Writes configuration and whatever must be on disk before the first start. */
  prepare(place: Place): Promise<Program>
  /** Resolves when it answered as it does when it is ready; rejects when it did not. */
  probe(place: Place): Promise<void>
  address(place: Place): string
  zenohAddress?(place: Place): string
}
