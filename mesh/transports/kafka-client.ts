// One attempt at talking to a Kafka cluster: a connection to whichever bootstrap broker answers, more
// to the leaders of partitions, and the calls we need, over the client library's connections and
// protocol. Its producer and consumer are not used (docs/adr/0004). When anything fails, the whole
// client is thrown away and a new one is made (kafka-upkeep.ts).
import type * as Kafka from '@platformatic/kafka'
import type { Connection } from '@platformatic/kafka'
import type { Clock } from '../clock.ts'
import {
  KafkaTrouble,
  connectTrouble,
  errorIds,
  isTimeout,
  requestTrouble,
} from './kafka-trouble.ts'

export type KafkaPackage = typeof Kafka

export const SASL_MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const
export type SaslMechanism = (typeof SASL_MECHANISMS)[number]

export interface KafkaAccess {
  readonly kafka: KafkaPackage
  readonly clock: Clock
  /** `host:port` of some brokers; one that answers is enough. */
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly username: string | undefined
  readonly password: string | undefined
  readonly mechanism: SaslMechanism
  readonly tls: boolean
}

export interface TopicState {
  readonly name: string
  /** 32 hex digits; another one when a topic of the same name was made anew. */
  readonly id: string
  /** The leading broker of each partition, where there is one. */
  readonly leaders: readonly (number | undefined)[]
}

export interface PartitionRef {
  readonly topic: TopicState
  readonly partition: number
}

export interface NewTopic {
  readonly name: string
  readonly partitions: number
  readonly replication: number
  readonly configs: Readonly<Record<string, string | number>>
}

const CONNECT_TIMEOUT_MS = 5000
/** Longer than a broker waits for its followers, or holds a fetch. */
const REQUEST_TIMEOUT_MS = 10_000
const ADMIN_TIMEOUT_MS = 8000
/** A broker closes what was idle for ten minutes, and a dead one says nothing. */
const PING_MS = 60_000
const IN_FLIGHT_MAX = 8
const UNKNOWN_TOPIC = 3
const GROUP_KEY = 0

export class KafkaClient {
  private readonly access: KafkaAccess
  private readonly connections = new Map<Connection, string>()
  private readonly toNodes = new Map<number, Promise<Connection>>()
  private readonly nodes = new Map<number, string>()
  private readonly lost = Promise.withResolvers<never>()
  private control: Connection | undefined
  private isClosed = false

  constructor(access: KafkaAccess) {
    this.access = access
    this.lost.promise.catch(() => {})
  }

  get kafka(): KafkaPackage {
    return this.access.kafka
  }

  /** @throws KafkaTrouble with why none of the brokers can be used. */
  async connect(): Promise<void> {
    const troubles: KafkaTrouble[] = []
    for (const address of this.access.brokers) {
      try {
        const connection = await this.dial(address)
        await this.tryOut(connection, address)
        this.control = connection
        void this.keepAlive()
        return
      } catch (error) {
        troubles.push(error as KafkaTrouble)
      }
    }
    const isSlow = troubles.every((trouble) => trouble.isSlow)
    throw new KafkaTrouble(troubles.map(({ message }) => message).join('; '), { isSlow })
  }

  /** Rejects with a KafkaTrouble when a connection is lost or close() is called; never fulfils. */
  whenLost(): Promise<never> {
    return this.lost.promise
  }

  addressOf(node: number): string {
    return this.nodes.get(node) ?? `broker ${node}`
  }

  /** Those that exist, by name. */
  async topics(names: readonly string[]): Promise<Map<string, TopicState>> {
    const { metadataV12 } = this.kafka
    const answer = await this.ask('describe topics', (connection) =>
      tolerating([UNKNOWN_TOPIC, 5], metadataV12.api.async(connection, [...names], false, false)),
    )
    for (const { nodeId, host, port } of answer.brokers) this.nodes.set(nodeId, `${host}:${port}`)
    const states = new Map<string, TopicState>()
    for (const { name, topicId, errorCode, partitions } of answer.topics) {
      if (!name || errorCode === UNKNOWN_TOPIC || partitions.length === 0) continue
      const leaders = Array.from<number | undefined>({ length: partitions.length })
      for (const { partitionIndex, leaderId } of partitions) {
        leaders[partitionIndex] = leaderId < 0 ? undefined : leaderId
      }
      states.set(name, { name, id: topicId.replaceAll('-', ''), leaders })
    }
    return states
  }

  /** Nothing happens when another process has made it in the meantime. */
  async createTopic({ name, partitions, replication, configs }: NewTopic): Promise<void> {
    const topic = {
      name,
      numPartitions: partitions,
      replicationFactor: replication,
      assignments: [],
      configs: Object.entries(configs).map(([key, value]) => ({ name: key, value: String(value) })),
    }
    const { createTopicsV7 } = this.kafka
    try {
      await this.ask(`make topic ${name}`, (connection) =>
        createTopicsV7.api.async(connection, [topic], ADMIN_TIMEOUT_MS, false),
      )
    } catch (error) {
      if (!errorIds(error).includes('TOPIC_ALREADY_EXISTS')) throw error
    }
  }

  /** Settings by topic and name; empty where they may not be seen. */
  async topicConfigs(names: readonly string[]): Promise<Map<string, Map<string, string>>> {
    const { describeConfigsV4 } = this.kafka
    const resources = names.map((resourceName) => ({ resourceType: 2 as const, resourceName }))
    const found = new Map<string, Map<string, string>>()
    try {
      const { results } = await this.ask('describe topics', (connection) =>
        describeConfigsV4.api.async(connection, resources, false, false),
      )
      for (const { resourceName, configs } of results) {
        found.set(resourceName, new Map(configs.map(({ name, value }) => [name, value ?? ''])))
      }
    } catch (error) {
      if (!errorIds(error).some((id) => id.endsWith('AUTHORIZATION_FAILED'))) throw error
    }
    return found
  }

  /** A connection of its own to a broker: a fetch that waits holds up what comes after it. */
  dialNode(node: number): Promise<Connection> {
    return this.dial(this.addressOf(node))
  }

  hangUp(connection: Connection): void {
    if (this.connections.delete(connection)) endConnection(connection)
  }

  /** Rejects when the client is closed or loses a connection before so long. */
  wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.access.clock.startTimer(ms, resolve)
    return Promise.race([promise, this.lost.promise]).finally(() => timer.cancel())
  }

  /** Ends everything at once; pending calls reject. Idempotent. */
  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.lost.reject(new KafkaTrouble('closed'))
    for (const connection of this.connections.keys()) endConnection(connection)
    this.connections.clear()
  }

  /** @throws KafkaTrouble with what the broker said instead. */
  async answer<Answer>(
    connection: Connection,
    what: string,
    call: () => Promise<Answer>,
  ): Promise<Answer> {
    try {
      return await call()
    } catch (error) {
      throw requestTrouble(this.connections.get(connection) ?? 'the broker', what, error)
    }
  }

  /** A broker that wants credentials or TLS takes the connection, and ends it at the first request. */
  private async tryOut(connection: Connection, address: string): Promise<void> {
    try {
      await this.kafka.metadataV12.api.async(connection, [], false, false)
    } catch (error) {
      this.hangUp(connection)
      if (errorIds(error).length > 0) throw requestTrouble(address, 'describe itself', error)
      if (isTimeout(error)) throw connectTrouble(address, error, this.access.username)
      const hint = this.access.username === undefined ? 'a username and password' : 'TLS'
      const words = `${address} closes the connection at the first request; does it want ${hint}?`
      throw new KafkaTrouble(words, { cause: error })
    }
  }

  private async keepAlive(): Promise<void> {
    const { metadataV12 } = this.kafka
    try {
      for (;;) {
        await this.wait(PING_MS)
        for (const connection of this.connections.keys()) {
          // A failure closes the connection, and that is noticed.
          metadataV12.api.async(connection, [], false, false).catch(() => {})
        }
      }
    } catch {
      // The client is closed, or has lost a connection.
    }
  }

  /** Asks any broker. */
  ask<Answer>(what: string, call: (connection: Connection) => Promise<Answer>): Promise<Answer> {
    const control = this.control!
    return this.answer(control, what, () => call(control))
  }

  async coordinator(group: string): Promise<Connection> {
    const { findCoordinatorV4 } = this.kafka
    const answer = await this.ask('name a group coordinator', (connection) =>
      findCoordinatorV4.api.async(connection, GROUP_KEY, [group]),
    )
    const { nodeId, host, port, errorCode } = answer.coordinators[0]!
    if (errorCode !== 0) throw new KafkaTrouble(`no broker coordinates group ${group} yet`)
    this.nodes.set(nodeId, `${host}:${port}`)
    return this.to(nodeId)
  }

  /** A connection for short requests. */
  to(node: number): Promise<Connection> {
    let connection = this.toNodes.get(node)
    if (connection === undefined) {
      connection = this.dialNode(node)
      this.toNodes.set(node, connection)
    }
    return connection
  }

  private async dial(address: string): Promise<Connection> {
    const { kafka, clientId, username, password, mechanism, tls } = this.access
    if (this.isClosed) throw new KafkaTrouble('closed')
    const sasl =
      username === undefined ? undefined : { mechanism, username, password: password ?? '' }
    const connection = new kafka.Connection(clientId, {
      connectTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      maxInflights: IN_FLIGHT_MAX,
      ...(tls && { tls: {}, tlsServerName: true }),
      ...(sasl && { sasl }),
    })
    this.connections.set(connection, address)
    // Without a listener an error event would end the process; whoever waits hears of it as well.
    connection.on('error', () => {})
    const { host, port } = parseBroker(address)!
    try {
      await connection.connect(host, port)
    } catch (error) {
      this.hangUp(connection)
      throw connectTrouble(address, error, username)
    }
    connection.once('close', () => {
      if (!this.connections.delete(connection)) return
      this.lost.reject(new KafkaTrouble(`${address} is gone (connection closed)`))
    })
    return connection
  }
}

/** Undefined when it is not `host:port`. */
export function parseBroker(address: string): { host: string; port: number } | undefined {
  const match = /^(?:([^\s:/[\]]+)|\[([0-9A-Fa-f:.%]+)\]):(\d{1,5})$/.exec(address)
  const port = Number(match?.[3])
  if (match === null || !(port >= 1 && port <= 65_535)) return undefined
  return { host: (match[1] ?? match[2])!, port }
}

/** Partitions by the broker that leads them. @throws KafkaTrouble when one has no leader. */
export function byLeader<Ref extends PartitionRef>(partitions: Iterable<Ref>): Map<number, Ref[]> {
  const groups = new Map<number, Ref[]>()
  for (const ref of partitions) {
    const leader = ref.topic.leaders[ref.partition]
    if (leader === undefined) {
      throw new KafkaTrouble(`partition ${ref.partition} of topic ${ref.topic.name} has no leader`)
    }
    const group = groups.get(leader)
    if (group === undefined) groups.set(leader, [ref])
    else group.push(ref)
  }
  return groups
}

/** The library throws for any error code within an answer; some of them are answers. */
async function tolerating<Answer>(
  codes: readonly number[],
  call: Promise<Answer>,
): Promise<Answer> {
  try {
    return await call
  } catch (error) {
    const { errors, response } = error as {
      errors?: readonly { apiCode?: number }[]
      response?: Answer
    }
    const isFine = errors?.every(({ apiCode }) => codes.includes(apiCode ?? 0))
    if (response === undefined || isFine !== true) throw error
    return response
  }
}

function endConnection(connection: Connection): void {
  connection.close().catch(() => {})
  // close() alone would wait for a peer that does not read any more.
  connection.socket?.destroy()
}
