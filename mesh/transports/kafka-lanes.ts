// Produce requests on their way: one lane to each broker that leads partitions of ours, with what waits
// for it and what is in flight. One attempt's worth; a failure of any lane ends them all.
import type { Connection } from '@platformatic/kafka'
import type { Clock } from '../clock.ts'
import { Deque } from '../publisher/deque.ts'
import type { TransportCounters } from '../transport.ts'
import type { KafkaClient, KafkaPackage, TopicState } from './kafka-client.ts'
import { byLeader } from './kafka-client.ts'
import { encodeBatch } from './kafka-records.ts'
import type { Rounds } from './kafka-rounds.ts'
import type { Place, TopicKind } from './kafka-topics.ts'

/** A request takes what waits up to this size, or one larger message. */
const REQUEST_BYTES = 1024 * 1024
/** While one request is in flight, another goes only when it is worth it; a first one goes at once. */
const NEXT_REQUEST_BYTES = 128 * 1024
const IN_FLIGHT_MAX = 4
const IN_FLIGHT_BYTES_MAX = 8 * 1024 * 1024
/** About what one message takes in memory and in a request beyond its bytes. */
export const MESSAGE_OVERHEAD_BYTES = 96
/** How long the broker waits for its followers; less than a request may take. */
const ACKS_TIMEOUT_MS = 8000
const ACKS_ALL = -1

export interface Outgoing {
  readonly route: Route
  readonly value: Uint8Array
  /** Which flush() waits for it. */
  readonly round: number
}

export interface Route extends Place {
  readonly key: Buffer
}

interface LanesOptions {
  readonly client: KafkaClient
  readonly states: ReadonlyMap<TopicKind, TopicState>
  readonly clock: Clock
  readonly counters: TransportCounters
  readonly rounds: Rounds
}

/** The connections of one attempt, one to each broker that leads partitions of ours. */
export class Lanes {
  private readonly options: LanesOptions
  private readonly lanes = new Map<number, Lane>()
  private readonly failure = Promise.withResolvers<never>()

  constructor(options: LanesOptions) {
    this.options = options
    this.failure.promise.catch(() => {})
  }

  get waitingBytes(): number {
    let bytes = 0
    for (const lane of this.lanes.values()) bytes += lane.waitingBytes
    return bytes
  }

  async connect(): Promise<void> {
    const { client, states } = this.options
    const partitions = [...states.values()].flatMap((topic) =>
      topic.leaders.map((_, partition) => ({ topic, partition })),
    )
    for (const node of byLeader(partitions).keys()) {
      const connection = await client.dialNode(node)
      this.lanes.set(node, new Lane(this.options, connection, this.failure.reject))
    }
  }

  push(message: Outgoing): void {
    const { kind, partition } = message.route
    const { leaders } = this.options.states.get(kind)!
    this.lanes.get(leaders[partition]!)!.push(message)
  }

  whenFailed(): Promise<never> {
    return this.failure.promise
  }

  /** What waits and what is not confirmed counts as lost. */
  drop(): void {
    for (const lane of this.lanes.values()) lane.drop()
  }
}

class Lane {
  private readonly options: LanesOptions
  private readonly connection: Connection
  private readonly fail: (error: unknown) => void
  private readonly waiting = new Deque<Outgoing>()
  private readonly inFlight = new Set<readonly Outgoing[]>()
  private inFlightBytes = 0
  private isScheduled = false
  waitingBytes = 0

  constructor(options: LanesOptions, connection: Connection, fail: (error: unknown) => void) {
    this.options = options
    this.connection = connection
    this.fail = fail
  }

  push(message: Outgoing): void {
    this.waiting.push(message)
    this.waitingBytes += costOf(message)
    if (this.isScheduled) return
    // After the turn, so that what is published together goes together.
    this.isScheduled = true
    queueMicrotask(() => {
      this.isScheduled = false
      this.pump()
    })
  }

  drop(): void {
    const { counters, rounds } = this.options
    for (const messages of [[...this.waiting], ...this.inFlight]) {
      for (const { value, round } of messages) {
        counters.droppedMessages += 1
        counters.droppedBytes += value.length
        rounds.leave(round)
      }
    }
    this.waiting.clear()
    this.inFlight.clear()
    this.waitingBytes = 0
  }

  private pump(): void {
    while (this.waiting.length > 0 && this.mayBegin()) {
      const messages = this.take()
      void this.send(messages)
    }
  }

  private mayBegin(): boolean {
    if (this.inFlight.size === 0) return true
    return (
      this.inFlight.size < IN_FLIGHT_MAX &&
      this.inFlightBytes < IN_FLIGHT_BYTES_MAX &&
      this.waitingBytes >= NEXT_REQUEST_BYTES
    )
  }

  private take(): Outgoing[] {
    const messages: Outgoing[] = []
    let bytes = 0
    for (let next = this.waiting.first(); next !== undefined; next = this.waiting.first()) {
      const cost = costOf(next)
      if (messages.length > 0 && bytes + cost > REQUEST_BYTES) break
      messages.push(next)
      bytes += cost
      this.waiting.shift()
    }
    this.waitingBytes -= bytes
    return messages
  }

  private async send(messages: readonly Outgoing[]): Promise<void> {
    const { client, clock, counters, rounds, states } = this.options
    const bytes = messages.reduce((sum, message) => sum + costOf(message), 0)
    this.inFlight.add(messages)
    this.inFlightBytes += bytes
    try {
      const nowMs = clock.nowUs() / 1000
      for (const { value } of messages) counters.sentBytes += value.length
      counters.sentMessages += messages.length
      await client.answer(this.connection, 'take what is published', () =>
        produce(client.kafka, this.connection, encodeTopics(client.kafka, messages, states, nowMs)),
      )
    } catch (error) {
      this.fail(error)
      return
    }
    this.inFlightBytes -= bytes
    // Dropped meanwhile: counted already.
    if (!this.inFlight.delete(messages)) return
    for (const { round } of messages) rounds.leave(round)
    this.pump()
  }
}

const costOf = ({ value }: Outgoing): number => value.length + MESSAGE_OVERHEAD_BYTES

export interface TopicBatches {
  readonly name: string
  readonly batches: readonly { readonly partition: number; readonly bytes: Buffer }[]
}

function encodeTopics(
  kafka: KafkaPackage,
  messages: readonly Outgoing[],
  states: ReadonlyMap<TopicKind, TopicState>,
  nowMs: number,
): TopicBatches[] {
  const byKind = Map.groupBy(messages, ({ route }) => route.kind)
  return [...byKind].map(([kind, ofKind]) => ({
    name: states.get(kind)!.name,
    batches: [...Map.groupBy(ofKind, ({ route }) => route.partition)].map(
      ([partition, entries]) => {
        const records = entries.map(({ route, value }) => ({ key: route.key, value }))
        return { partition, bytes: encodeBatch(records, nowMs, (bytes) => crcOf(kafka, bytes)) }
      },
    ),
  }))
}

/** In the library's own kind of buffer, because it copies any other first. */
export function crcOf({ Writer, crc32c }: KafkaPackage, bytes: Buffer): number {
  return crc32c(Writer.create().append(bytes).dynamicBuffer)
}

/** Produce, version 9: as the library's own call, but for batches that are encoded already. */
export function produce(
  { createAPI, produceV9, Writer }: KafkaPackage,
  connection: Connection,
  topics: TopicBatches[],
): Promise<unknown> {
  const request = (): InstanceType<KafkaPackage['Writer']> =>
    Writer.create()
      .appendString(null)
      .appendInt16(ACKS_ALL)
      .appendInt32(ACKS_TIMEOUT_MS)
      .appendArray(topics, (writer, { name, batches }) => {
        writer.appendString(name).appendArray([...batches], (inner, { partition, bytes }) => {
          inner
            .appendInt32(partition)
            .appendUnsignedVarInt(bytes.length + 1)
            .append(bytes)
        })
      })
      .appendTaggedFields()
  return createAPI(0, 9, request, produceV9.parseResponse).async(connection)
}
