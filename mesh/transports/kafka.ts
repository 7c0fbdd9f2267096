// Kafka: a message is a record, its topic the key, and the shard is the partition (kafka-topics.ts).
// What stands behind the five methods:
//
//   publish    kafka-writer.ts        pipelined requests, acks=all
//   subscribe  kafka-reader.ts        one shared reader from the end; one from the start for each
//                                     subscription that covers schemas
//   consume    kafka-consumption.ts   a reader of the assigned shards, offsets committed by group
//
// Each of these keeps its own connections and finds its way back by itself (kafka-upkeep.ts). The
// client library gives connections and the protocol (docs/adr/0004).
import { BrokerBase } from '../broker/broker-base.ts'
import type { BrokerOptions } from '../broker/broker-base.ts'
import { FanOut } from '../broker/fan-out.ts'
import type { HandlerQueue } from '../broker/handler-queue.ts'
import { MeshError } from '../errors.ts'
import { checkTopic } from '../topic.ts'
import type { BatchHandler, Consumption } from '../transport.ts'
import type { KafkaAccess, SaslMechanism } from './kafka-client.ts'
import { SASL_MECHANISMS, parseBroker } from './kafka-client.ts'
import { KafkaConsumption } from './kafka-consumption.ts'
import { EARLIEST, LATEST, offsetsAt } from './kafka-offsets.ts'
import type { ReadRecord } from './kafka-reader.ts'
import { KafkaReader } from './kafka-reader.ts'
import type { Place } from './kafka-topics.ts'
import { KAFKA_MESSAGE_BYTES_MAX, KafkaTopics, coversSchemas, placesOf } from './kafka-topics.ts'
import { Upkeep } from './kafka-upkeep.ts'
import { KafkaWriter } from './kafka-writer.ts'

const RETENTION_MS = 3_600_000
/** Topics remembered as well-formed, of what comes from Kafka. */
const TOPICS_MAX = 16_384

export interface KafkaOptions extends BrokerOptions {
  /** `host:port` of some brokers of the cluster; one that answers is enough. */
  readonly brokers: readonly string[]
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Default PLAIN. */
  readonly mechanism?: SaslMechanism
  readonly tls?: boolean
  /** On how many brokers each topic that is made is kept; default 1. */
  readonly replication?: number
  /** How long Kafka keeps telemetry in topics that are made; default one hour. */
  readonly retentionMs?: number
}

export class KafkaTransport extends BrokerBase {
  readonly name = 'kafka'
  private readonly options: KafkaOptions
  private readonly kafkaTopics: KafkaTopics
  private readonly writer: KafkaWriter
  private readonly fanOut = new FanOut()
  private readonly schemaReaders = new Set<KafkaReader>()
  private schemaReadersMade = 0
  private readonly consumptions = new Set<KafkaConsumption>()
  private readonly knownTopics = new Set<string>()
  private readonly troubles: Troubles
  private access: KafkaAccess | undefined
  private writing: Upkeep | undefined
  private live: KafkaReader | undefined

  /** @throws RangeError when the mesh's name cannot be part of a topic's. */
  constructor({ onTrouble, ...options }: KafkaOptions) {
    super(options)
    this.options = options
    this.troubles = new Troubles(onTrouble)
    const { meshName, replication = 1, retentionMs = RETENTION_MS } = options
    this.kafkaTopics = new KafkaTopics({ meshName, replication, retentionMs })
    const { queueBytes, counts: counters, clock } = this
    this.writer = new KafkaWriter({ topics: this.kafkaTopics, clock, queueBytes, counters })
  }

  protected get messageBytesMax(): number {
    return KAFKA_MESSAGE_BYTES_MAX
  }

  override trouble(): string | undefined {
    return this.troubles.first()
  }

  queuedBytes(): number {
    return this.writer.queuedBytes()
  }

  protected async _open(): Promise<void> {
    const { brokers, username, password, mechanism = 'PLAIN', tls = false } = this.options
    checkAccess(brokers, mechanism)
    const kafka = await import('@platformatic/kafka')
    const clientId = `skein-${this.peerId}`
    const { clock } = this
    this.access = { kafka, clock, brokers, clientId, username, password, mechanism, tls }
    this.live = this.newReader('live', LATEST, (record) => this.fanOut.push(messageOf(record)))
    await this.startWriting()
  }

  protected _publish(topic: string, bytes: Uint8Array): boolean {
    return this.writer.publish(topic, bytes)
  }

  protected _flush(): Promise<void> {
    return this.writer.flush()
  }

  protected async _subscribe(pattern: string, queue: HandlerQueue): Promise<() => void> {
    const remove = this.fanOut.add(pattern, queue)
    const waits = [this.live!.read(this.livePlaces())]
    let endSchemas = (): void => {}
    if (coversSchemas(pattern)) {
      const own = new FanOut()
      own.add(pattern, queue)
      this.schemaReadersMade += 1
      const part = `schemas ${this.schemaReadersMade}`
      const schemas = this.newReader(part, EARLIEST, (record) => own.push(messageOf(record)))
      this.schemaReaders.add(schemas)
      waits.push(schemas.read([SCHEMAS]))
      endSchemas = () => {
        this.schemaReaders.delete(schemas)
        void schemas.stop()
        this.troubles.set(part, undefined)
      }
    }
    await Promise.all(waits)
    return () => {
      remove()
      void this.live!.read(this.livePlaces())
      endSchemas()
    }
  }

  protected _consume(name: string, onBatch: BatchHandler): Promise<Consumption> {
    const part = `consumer ${name}`
    const consumption = new KafkaConsumption({
      access: this.access!,
      topics: this.kafkaTopics,
      clock: this.clock,
      random: this.random,
      group: `skein-${name}`,
      onBatch,
      received: (record) => this.received(record),
      rejected: (count) => this.rejected(count),
      onTrouble: (reason) => this.troubles.set(part, reason),
      onClosed: () => {
        this.consumptions.delete(consumption)
        this.troubles.set(part, undefined)
      },
    })
    this.consumptions.add(consumption)
    return Promise.resolve(consumption)
  }

  protected async _close(): Promise<void> {
    const readers = [...this.schemaReaders, ...(this.live === undefined ? [] : [this.live])]
    await Promise.all([
      ...[...this.consumptions].map((consumption) => consumption.close()),
      ...readers.map((reader) => reader.stop()),
      this.writing?.stop(),
    ])
  }

  /** Resolves with the outcome of the first attempt, and goes on trying. */
  private startWriting(): Promise<void> {
    return new Promise((resolve) => {
      this.writing = new Upkeep(this.access!, this.random, {
        run: (client, works) => this.writer.run(client, works),
        works: () => {
          this.troubles.set('writer', undefined)
          this.connection.up()
          resolve()
        },
        failed: (reason) => {
          this.troubles.set('writer', reason)
          this.connection.down(reason)
          resolve()
        },
      })
      this.writing.start()
    })
  }

  private newReader(part: string, from: number, push: (record: ReadRecord) => void): KafkaReader {
    return new KafkaReader({
      access: this.access!,
      topics: this.kafkaTopics,
      random: this.random,
      start: (client, partitions) => offsetsAt(client, partitions, from),
      take: (records) => {
        for (const record of records) if (this.received(record)) push(record)
        return undefined
      },
      rejected: (count) => this.rejected(count),
      onTrouble: (reason) => this.troubles.set(part, reason),
    })
  }

  /** What any live subscription can match. Schemas come from a reader of their own. */
  private livePlaces(): Place[] {
    const places = new Map<string, Place>()
    for (const place of this.fanOut.patterns().flatMap(placesOf)) {
      if (place.kind !== 'schemas') places.set(`${place.kind}/${place.partition}`, place)
    }
    return [...places.values()]
  }

  private received({ topic, bytes }: ReadRecord): boolean {
    if (!this.isTopic(topic)) {
      this.rejected(1)
      return false
    }
    this.counts.receivedMessages += 1
    this.counts.receivedBytes += bytes.length
    return true
  }

  private isTopic(topic: string): boolean {
    if (this.knownTopics.has(topic)) return true
    try {
      checkTopic(topic)
    } catch {
      return false
    }
    if (this.knownTopics.size >= TOPICS_MAX) this.knownTopics.clear()
    this.knownTopics.add(topic)
    return true
  }

  private rejected(count: number): void {
    this.counts.rejectedMessages += count
  }
}

const SCHEMAS: Place = { kind: 'schemas', partition: 0 }

const messageOf = ({
  topic,
  bytes,
}: ReadRecord): { topic: string; bytes: Buffer; from: undefined } => ({
  topic,
  bytes,
  from: undefined,
})

/** What is wrong with each part of the transport; one of them is said at a time. */
class Troubles {
  private readonly reasons = new Map<string, string>()
  private readonly onTrouble: ((reason: string | undefined) => void) | undefined
  private said: string | undefined

  constructor(onTrouble: ((reason: string | undefined) => void) | undefined) {
    this.onTrouble = onTrouble
  }

  first(): string | undefined {
    return this.reasons.values().next().value
  }

  set(part: string, reason: string | undefined): void {
    if (reason === undefined) this.reasons.delete(part)
    else this.reasons.set(part, reason)
    const first = this.first()
    if (first === this.said) return
    this.said = first
    this.onTrouble?.(first)
  }
}

/** @throws MeshError MESH_ADDRESS_INVALID, RangeError for a mechanism that does not exist. */
function checkAccess(brokers: readonly string[], mechanism: SaslMechanism): void {
  const wrong = brokers.find((address) => parseBroker(address) === undefined)
  if (wrong !== undefined || brokers.length === 0) {
    throw new MeshError(
      'MESH_ADDRESS_INVALID',
      `cannot use kafka broker ${JSON.stringify(wrong ?? '')}: write host:port, e.g. 127.0.0.1:9092`,
      { details: { brokers } },
    )
  }
  if (!SASL_MECHANISMS.includes(mechanism)) {
    throw new RangeError(
      `mechanism ${JSON.stringify(mechanism)} is none of ${SASL_MECHANISMS.join(', ')}`,
    )
  }
}
