// A producer for the bench, by the rules of Kafka's Java producer and as fast as Node allows
// (docs/adr/0004): batches for each partition, several requests in flight on the connection to each leader,
// idempotent (KIP-98), so that what is sent again after a lost connection is there once.
import type { Connection } from '@platformatic/kafka'
import type { Sample } from '../../mesh/index.ts'
import type { KafkaAccess, KafkaClient } from '../../mesh/transports/kafka-client.ts'
import { crcOf, produce } from '../../mesh/transports/kafka-lanes.ts'
import { encodeBatch } from '../../mesh/transports/kafka-records.ts'
import { errorIds } from '../../mesh/transports/kafka-trouble.ts'
import { messageEncoder, messageSamples } from '../messages.ts'
import { Attempts, kafkaAccess, ledTopic, partitionsByLeader } from './kafka-attempts.ts'
import { PartitionQueue, type Batch } from './kafka-batches.ts'
import {
  BUFFER_BYTES,
  MAX_REQUEST_BYTES,
  PRODUCER_TUNINGS,
  partitionsOf,
} from './kafka-settings.ts'
import { Shrinking } from './kafka-shrinking.ts'
import type { Producer, ProducerOptions } from './system.ts'

/** The broker does not know the producer, or what it sent before. A new one goes on, and may repeat. */
const PRODUCER_LOST = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'DUPLICATE_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
])
/** Meant for transactions; the protocol wants one all the same. */
const TRANSACTION_TIMEOUT_MS = 60_000

interface ProducerId {
  readonly id: bigint
  readonly epoch: number
}

/** As long as all its connections last. */
interface Session {
  readonly client: KafkaClient
  readonly producer: ProducerId
  readonly leaders: readonly Leader[]
  readonly failed: PromiseWithResolvers<never>
}

/** A broker, and what goes to it. */
interface Leader {
  readonly connection: Connection
  readonly queues: readonly PartitionQueue[]
  inFlight: number
  /** Where the next request begins to gather, so that no partition waits for the others. */
  firstQueue: number
}

interface Outgoing {
  readonly queue: PartitionQueue
  readonly batch: Batch
}

export class KafkaProducer implements Producer {
  readonly hasReceipts = true
  private readonly options: ProducerOptions
  private readonly access: KafkaAccess
  private readonly attempts: Attempts
  private readonly encode: ReturnType<typeof messageEncoder>
  private readonly shrinking: Shrinking
  private readonly lingerMs: number
  private readonly inFlightMax: number
  private readonly queues: readonly PartitionQueue[]
  /** By source. */
  private readonly keys: readonly Buffer[]
  private readonly queueOf: readonly PartitionQueue[]
  private producer: ProducerId | undefined
  private session: Session | undefined
  private lingering: NodeJS.Timeout | undefined
  private lingersUntilMs = 0
  private isScheduled = false
  private waitingBytes = 0
  private bytes = 0
  private messages = 0

  /** Resolves when it is connected. */
  static async open(options: ProducerOptions): Promise<KafkaProducer> {
    const { channel, process } = options
    const access = await kafkaAccess(channel.address, `bench-producer-${process}`)
    const producer = new KafkaProducer(options, access)
    await producer.attempts.start()
    return producer
  }

  private constructor(options: ProducerOptions, access: KafkaAccess) {
    const { channel, form, sources } = options
    const { setting } = channel
    const tuning = PRODUCER_TUNINGS[setting.tuning]
    this.options = options
    this.access = access
    this.attempts = new Attempts(access, (client, works) => this.run(client, works))
    this.encode = options.encode ?? messageEncoder(form, channel.name, sources)
    this.shrinking = new Shrinking(setting.compress)
    this.lingerMs = tuning['linger.ms']
    this.inFlightMax = tuning['max.in.flight.requests.per.connection']
    const { lingerMs, shrinking } = this
    const rules = { batchBytes: tuning['batch.size'], lingerMs, shrinking }
    const partitions = Array.from({ length: partitionsOf(setting) }, (_, partition) => partition)
    this.queues = partitions.map((partition) => new PartitionQueue(partition, rules))
    this.keys = sources.map((source) => Buffer.from(source))
    // As Kafka's clients in every language choose a partition by key.
    const partitionOf = (key: Buffer): number =>
      (access.kafka.murmur2(key) & 0x7fff_ffff) % partitions.length
    this.queueOf = this.keys.map((key) => this.queues[partitionOf(key)]!)
  }

  publish(source: number, samples: readonly Sample[]): void {
    for (const each of messageSamples(this.options.form, samples)) this.append(source, each)
  }

  kick(): void {
    this.pump()
  }

  sentBytes(): number {
    return this.bytes
  }

  sentMessages(): number {
    return this.messages
  }

  /** What is not confirmed by then never is. */
  async close(): Promise<void> {
    clearTimeout(this.lingering)
    await this.attempts.close()
  }

  private append(source: number, samples: readonly Sample[]): void {
    if (this.waitingBytes > BUFFER_BYTES) {
      this.options.onLost(samples.length, 'the producer has no room for more')
      return
    }
    const entry = { key: this.keys[source]!, value: this.encode(source, samples) }
    this.waitingBytes += entry.value.length
    const hasFilled = this.queueOf[source]!.append(entry, samples, performance.now())
    if (this.lingerMs === 0) this.pumpSoon()
    else if (hasFilled) this.pump()
    else if (this.lingering === undefined) this.linger(this.lingerMs)
  }

  /** After the turn, so that what is published together goes together. */
  private pumpSoon(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    queueMicrotask(() => {
      this.isScheduled = false
      this.pump()
    })
  }

  /** One timer for all leaders: for what is due first. */
  private linger(ms: number): void {
    const untilMs = performance.now() + ms
    if (this.lingering !== undefined && this.lingersUntilMs <= untilMs) return
    clearTimeout(this.lingering)
    this.lingersUntilMs = untilMs
    this.lingering = setTimeout(() => this.lingered(), ms)
  }

  private lingered(): void {
    this.lingering = undefined
    this.pump()
  }

  /** Sends all that may leave; comes back when more may. */
  private pump(): void {
    const { session } = this
    for (const leader of session?.leaders ?? []) this.pumpTo(leader, session!)
  }

  private pumpTo(leader: Leader, session: Session): void {
    while (leader.inFlight < this.inFlightMax) {
      const waitMs = dueMs(leader) - performance.now()
      if (waitMs > 0) {
        if (waitMs < Infinity) this.linger(Math.ceil(waitMs))
        return
      }
      void this.send(session, leader)
    }
  }

  /** One batch of each partition, as long as there is room in a request; those that linger come along. */
  private take(leader: Leader): Outgoing[] {
    const taken: Outgoing[] = []
    const { queues } = leader
    let bytes = 0
    for (let i = 0; i < queues.length; i++) {
      const queue = queues[(leader.firstQueue + i) % queues.length]!
      const batch = queue.next()
      if (batch === undefined) continue
      bytes += this.shrinking.expected(batch.bytes)
      if (taken.length > 0 && bytes > MAX_REQUEST_BYTES) break
      queue.send(batch)
      taken.push({ queue, batch })
    }
    leader.firstQueue = (leader.firstQueue + taken.length) % queues.length
    return taken
  }

  private async send(session: Session, leader: Leader): Promise<void> {
    const { client, producer } = session
    const { connection } = leader
    const { kafka } = this.access
    const outgoing = this.take(leader)
    leader.inFlight += 1
    const batches = outgoing.map(({ queue, batch }) => ({
      partition: queue.partition,
      bytes: this.encoded(batch, producer),
    }))
    try {
      await client.answer(connection, 'take what is published', () =>
        produce(kafka, connection, [{ name: this.options.channel.name, batches }]),
      )
    } catch (error) {
      session.failed.reject(error)
      return
    }
    // Answered after another request failed: all is sent again.
    if (session !== this.session) return
    leader.inFlight -= 1
    for (const { queue } of outgoing) this.confirmed(queue.confirm())
    this.pumpTo(leader, session)
  }

  private encoded(batch: Batch, producer: ProducerId): Buffer {
    const { kafka } = this.access
    const { compress } = this.options.channel.setting
    const bytes = encodeBatch(batch.entries, Date.now(), (part) => crcOf(kafka, part), {
      producer: { ...producer, sequence: batch.sequence! },
      compress,
    })
    if (compress) this.shrinking.learn(batch.bytes, bytes.length)
    this.bytes += bytes.length
    this.messages += batch.entries.length
    return bytes
  }

  private confirmed({ entries, samples }: Batch): void {
    for (const { value } of entries) this.waitingBytes -= value.length
    this.options.onReceipt(samples)
  }

  /** Sends until something fails. */
  private async run(client: KafkaClient, works: () => void): Promise<never> {
    const topic = await ledTopic(client, this.options.channel.name)
    const leaders = await Promise.all(
      [...partitionsByLeader(topic)].map(async ([leader, partitions]): Promise<Leader> => ({
        connection: await client.dialNode(leader),
        queues: partitions.map((partition) => this.queues[partition]!),
        inFlight: 0,
        firstQueue: 0,
      })),
    )
    this.producer ??= await this.newProducer(client)
    const failed = Promise.withResolvers<never>()
    this.session = { client, producer: this.producer, leaders, failed }
    works()
    this.pump()
    try {
      return await Promise.race([client.whenLost(), failed.promise])
    } catch (error) {
      if (errorIds(error).some((id) => PRODUCER_LOST.has(id))) this.producer = undefined
      throw error
    } finally {
      this.session = undefined
      for (const queue of this.queues) queue.rewind()
    }
  }

  private async newProducer(client: KafkaClient): Promise<ProducerId> {
    const { initProducerIdV4 } = this.access.kafka
    const { producerId, producerEpoch } = await client.ask('name a producer', (connection) =>
      initProducerIdV4.api.async(connection, null, TRANSACTION_TIMEOUT_MS, -1n, -1),
    )
    for (const queue of this.queues) queue.renumber()
    return { id: producerId, epoch: producerEpoch }
  }
}

function dueMs({ queues }: Leader): number {
  let earliestMs = Infinity
  for (const queue of queues) earliestMs = Math.min(earliestMs, queue.dueMs() ?? Infinity)
  return earliestMs
}
