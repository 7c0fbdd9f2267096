// What is published on its way to Kafka. One connection to each broker that leads partitions, several
// requests in flight on it; what is published meanwhile gathers, and goes in one request with a batch
// for each partition. acks=all. Nothing is sent twice: when a request fails or a connection is lost,
// everything unconfirmed counts as lost, and whoever published it sends it again. So the order of a
// partition needs no producer id: requests of one connection are served one after the other.
import type { Connection } from '@platformatic/kafka'
import type { Clock } from '../clock.ts'
import { Deque } from '../publisher/deque.ts'
import type { TransportCounters } from '../transport.ts'
import type { KafkaClient, KafkaPackage, TopicState } from './kafka-client.ts'
import { byLeader } from './kafka-client.ts'
import { encodeBatch } from './kafka-records.ts'
import type { KafkaTopics, Place, TopicKind } from './kafka-topics.ts'
import { placeOf } from './kafka-topics.ts'

/** A request takes what waits up to this size, or one larger message. */
const REQUEST_BYTES = 1024 * 1024
/** While one request is in flight, another goes only when it is worth it; a first one goes at once. */
const NEXT_REQUEST_BYTES = 128 * 1024
const IN_FLIGHT_MAX = 4
const IN_FLIGHT_BYTES_MAX = 8 * 1024 * 1024
/** About what one message takes in memory and in a request beyond its bytes. */
const MESSAGE_OVERHEAD_BYTES = 96
/** How long the broker waits for its followers; less than a request may take. */
const ACKS_TIMEOUT_MS = 8000
const ACKS_ALL = -1
const ROUTES_MAX = 16_384

interface Outgoing {
  readonly route: Route
  readonly value: Uint8Array
  /** Which flush() waits for it. */
  readonly round: number
}

interface Route extends Place {
  readonly key: Buffer
}

export interface WriterOptions {
  readonly topics: KafkaTopics
  readonly clock: Clock
  readonly queueBytes: number
  readonly counters: TransportCounters
}

export class KafkaWriter {
  private readonly options: WriterOptions
  private readonly routes = new Map<string, Route>()
  private readonly rounds = new Rounds()
  private lanes: Lanes | undefined

  constructor(options: WriterOptions) {
    this.options = options
  }

  /** Takes a message, or drops it (counted) when there is no connection or no room. */
  publish(topic: string, value: Uint8Array): boolean {
    const { queueBytes, counters } = this.options
    const cost = value.length + MESSAGE_OVERHEAD_BYTES
    const waiting = this.queuedBytes()
    // One that is larger than the limit is taken when nothing waits.
    if (this.lanes === undefined || (waiting > 0 && waiting + cost > queueBytes)) {
      counters.droppedMessages += 1
      counters.droppedBytes += value.length
      return false
    }
    this.lanes.push({ route: this.routeOf(topic), value, round: this.rounds.enter() })
    return waiting + cost < queueBytes / 2
  }

  queuedBytes(): number {
    return this.lanes?.waitingBytes ?? 0
  }

  /** Resolves when all that was published before is confirmed or lost. */
  flush(): Promise<void> {
    return this.rounds.finished()
  }

  /** Writes until something fails. */
  async run(client: KafkaClient, works: () => void): Promise<never> {
    const { topics, clock, counters } = this.options
    const states = await topics.prepare(client)
    const lanes = new Lanes({ client, states, clock, counters, rounds: this.rounds })
    await lanes.connect()
    this.lanes = lanes
    works()
    try {
      return await Promise.race([client.whenLost(), lanes.whenFailed()])
    } finally {
      this.lanes = undefined
      lanes.drop()
    }
  }

  private routeOf(topic: string): Route {
    let route = this.routes.get(topic)
    if (route === undefined) {
      if (this.routes.size >= ROUTES_MAX) this.routes.clear()
      route = { ...placeOf(topic), key: Buffer.from(topic, 'utf8') }
      this.routes.set(topic, route)
    }
    return route
  }
}

interface LanesOptions {
  readonly client: KafkaClient
  readonly states: ReadonlyMap<TopicKind, TopicState>
  readonly clock: Clock
  readonly counters: TransportCounters
  readonly rounds: Rounds
}

/** The connections of one attempt, one to each broker that leads partitions of ours. */
class Lanes {
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

interface TopicBatches {
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
function crcOf({ Writer, crc32c }: KafkaPackage, bytes: Buffer): number {
  return crc32c(Writer.create().append(bytes).dynamicBuffer)
}

/** Produce, version 9: as the library's own call, but for batches that are encoded already. */
function produce(
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

/** Tells a flush when all that was published before it is done, whatever is published after it. */
class Rounds {
  private current = 0
  private readonly open = new Map<number, number>()
  private readonly waiting: { readonly upTo: number; readonly resolve: () => void }[] = []

  enter(): number {
    this.open.set(this.current, (this.open.get(this.current) ?? 0) + 1)
    return this.current
  }

  leave(round: number): void {
    const left = this.open.get(round)! - 1
    if (left > 0) {
      this.open.set(round, left)
      return
    }
    this.open.delete(round)
    for (let first = this.waiting[0]; first !== undefined; first = this.waiting[0]) {
      if (!this.isDone(first.upTo)) return
      this.waiting.shift()
      first.resolve()
    }
  }

  finished(): Promise<void> {
    const upTo = this.current
    if (this.isDone(upTo)) return Promise.resolve()
    this.current += 1
    return new Promise((resolve) => this.waiting.push({ upTo, resolve }))
  }

  private isDone(upTo: number): boolean {
    for (const round of this.open.keys()) if (round <= upTo) return false
    return true
  }
}
