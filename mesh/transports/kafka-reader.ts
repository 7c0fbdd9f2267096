// Reads partitions from where it is told: no consumer group, so nothing is rebalanced. One connection
// to each broker that leads wanted partitions, one fetch waiting there. Used for live subscriptions
// (from the end), schemas (from the start) and consumptions (from what was committed). Positions
// outlive connections: after a failure reading goes on where it was.
//
// Fetches are incremental (KIP-227): the broker keeps the list of partitions, and a request names only
// those whose position has moved, so 128 mostly quiet partitions cost little.
import type { Connection } from '@platformatic/kafka'
import type { KafkaAccess, KafkaClient, PartitionRef, TopicState } from './kafka-client.ts'
import { byLeader } from './kafka-client.ts'
import type { FetchedPartition } from './kafka-fetch.ts'
import { FetchSession, OFFSET_OUT_OF_RANGE } from './kafka-fetch.ts'
import { EARLIEST, offsetsAt } from './kafka-offsets.ts'
import { decodeBatches } from './kafka-records.ts'
import type { KafkaTopics, Place, TopicKind } from './kafka-topics.ts'
import { KafkaTrouble } from './kafka-trouble.ts'
import { Upkeep } from './kafka-upkeep.ts'
import type { Random } from '../clock.ts'

export interface ReadRecord {
  readonly from: PartitionRef
  readonly offset: number
  readonly topic: string
  readonly bytes: Buffer
}

export interface ReaderOptions {
  readonly access: KafkaAccess
  readonly topics: KafkaTopics
  readonly random: Random
  /** Where reading begins in partitions that it has not read yet, in their order. */
  start(client: KafkaClient, partitions: readonly PartitionRef[]): Promise<number[]>
  /** Takes what was read, in order of offsets for each partition. A promise holds up the next fetch. */
  take(records: readonly ReadRecord[]): Promise<void> | undefined
  /** Records that are none of ours. */
  rejected(count: number): void
  /** Why nothing can be read, or undefined when it can again. */
  onTrouble(reason: string | undefined): void
}

interface Position {
  readonly place: Place
  /** Of the topic it belongs to, undefined until a broker was reached. */
  topic: TopicState | undefined
  /** What is read next; undefined until start() has said. */
  offset: number | undefined
  highWatermark: number
}

/** A partition that is being read, in the form that the client's calls take. */
interface Reading extends PartitionRef {
  readonly position: Position
}

export class KafkaReader {
  /** The one in use, where there is one; to commit offsets. */
  client: KafkaClient | undefined
  private readonly options: ReaderOptions
  private readonly upkeep: Upkeep
  private readonly positions = new Map<string, Position>()
  private readonly started: (() => void)[] = []
  private round = Promise.withResolvers<void>()
  private isStarted = false
  private isStopped = false

  constructor(options: ReaderOptions) {
    this.options = options
    this.upkeep = new Upkeep(options.access, options.random, {
      run: (client, works) => this.run(client, works),
      works: () => options.onTrouble(undefined),
      failed: (reason) => {
        options.onTrouble(reason)
        this.tellStarted()
      },
    })
  }

  /**
   * From now on these places and no others. Resolves when it is settled where each begins, or when
   * there is no broker to ask.
   */
  read(places: readonly Place[]): Promise<void> {
    const wanted = new Map(places.map((place) => [keyOf(place), place]))
    let hasChanged = false
    for (const key of this.positions.keys()) {
      if (wanted.has(key)) continue
      this.positions.delete(key)
      hasChanged = true
    }
    for (const [key, place] of wanted) {
      if (this.positions.has(key)) continue
      this.positions.set(key, { place, topic: undefined, offset: undefined, highWatermark: 0 })
      hasChanged = true
    }
    if (hasChanged) this.round.resolve()
    if (!this.isStarted && wanted.size > 0) {
      this.isStarted = true
      this.upkeep.start()
    }
    if (this.areStarted()) return Promise.resolve()
    return new Promise((resolve) => this.started.push(resolve))
  }

  /** What the brokers hold beyond what was read, as last heard. */
  lag(): number {
    let lag = 0
    for (const { offset, highWatermark } of this.positions.values()) {
      lag += Math.max(0, highWatermark - (offset ?? highWatermark))
    }
    return lag
  }

  /** Whether it is still being read, and its topic the same; if not, its offsets mean nothing. */
  isReading({ topic, partition }: PartitionRef): boolean {
    for (const { place, topic: current } of this.positions.values()) {
      if (place.partition === partition && current?.id === topic.id) return true
    }
    return false
  }

  /** take() is not called after this. */
  stop(): Promise<void> {
    this.isStopped = true
    this.round.resolve()
    this.tellStarted()
    return this.isStarted ? this.upkeep.stop() : Promise.resolve()
  }

  private async run(client: KafkaClient, works: () => void): Promise<never> {
    const { topics } = this.options
    const states = await topics.prepare(client)
    this.client = client
    try {
      for (;;) {
        if (this.isStopped) throw new KafkaTrouble('closed')
        this.round = Promise.withResolvers()
        await this.readUntilChanged(client, states, works)
      }
    } finally {
      this.client = undefined
    }
  }

  /** One round: the same partitions, until others are wanted. */
  private async readUntilChanged(
    client: KafkaClient,
    states: ReadonlyMap<TopicKind, TopicState>,
    works: () => void,
  ): Promise<void> {
    const positions = [...this.positions.values()]
    for (const position of positions) settleTopic(position, states.get(position.place.kind)!)
    await this.settleStarts(client, positions)
    if (this.areStarted()) this.tellStarted()
    works()
    const isOver = { value: false }
    const connections: Connection[] = []
    const loops: Promise<void>[] = []
    try {
      for (const [node, readings] of byLeader(positions.map(readingOf))) {
        const connection = await client.dialNode(node)
        connections.push(connection)
        const loop = this.fetchLoop(client, connection, readings, isOver)
        // One may fail while the next broker is dialled, when nobody waits for it yet.
        loop.catch(() => {})
        loops.push(loop)
      }
      await Promise.race([this.round.promise, client.whenLost(), ...loops])
    } finally {
      isOver.value = true
      // Ends the fetches that wait there.
      for (const connection of connections) client.hangUp(connection)
      await Promise.allSettled(loops)
    }
  }

  private async fetchLoop(
    client: KafkaClient,
    connection: Connection,
    readings: readonly Reading[],
    isOver: { readonly value: boolean },
  ): Promise<void> {
    const session = new FetchSession(client, connection)
    const byKey = new Map(
      readings.map((reading) => [fetchKey(reading.topic.id, reading.partition), reading]),
    )
    while (!isOver.value) {
      const offsets = readings.map(({ topic, partition, position }) => ({
        topicId: topic.id,
        partition,
        offset: position.offset!,
      }))
      const fetched = await session.fetch(offsets)
      if (isOver.value) return
      const records: ReadRecord[] = []
      for (const each of fetched) {
        const reading = byKey.get(fetchKey(each.topicId, each.partition))
        if (reading === undefined) continue
        if (each.errorId === OFFSET_OUT_OF_RANGE) await this.startAgain(client, reading)
        else this.decode(each, reading, records)
      }
      if (records.length > 0 && !this.isStopped) await this.options.take(records)
    }
  }

  private decode(fetched: FetchedPartition, from: Reading, records: ReadRecord[]): void {
    const { position } = from
    position.highWatermark = fetched.highWatermark
    if (fetched.records === undefined) return
    position.offset = decodeBatches(fetched.records, position.offset!, {
      record: (offset, key, bytes) => {
        records.push({ from, offset, topic: key.toString('utf8'), bytes })
      },
      rejected: (count) => this.options.rejected(count),
    })
  }

  /** Gives those without an offset one. */
  private async settleStarts(client: KafkaClient, positions: readonly Position[]): Promise<void> {
    const fresh = positions.filter(({ offset }) => offset === undefined)
    if (fresh.length === 0) return
    const offsets = await this.options.start(client, fresh.map(readingOf))
    for (const [index, position] of fresh.entries()) position.offset = offsets[index]!
  }

  /**
   * The broker does not have what comes next: retention has removed it, or its log has become shorter.
   * Reading goes on with the oldest there is: that may repeat, and skips nothing.
   */
  private async startAgain(client: KafkaClient, reading: Reading): Promise<void> {
    const [earliest] = await offsetsAt(client, [reading], EARLIEST)
    reading.position.offset = earliest
  }

  private areStarted(): boolean {
    return [...this.positions.values()].every(({ offset }) => offset !== undefined)
  }

  private tellStarted(): void {
    for (const resolve of this.started.splice(0)) resolve()
  }
}

/** A topic that was made anew has nothing that was read before: all of it is new. */
function settleTopic(position: Position, topic: TopicState): void {
  if (position.topic !== undefined && position.topic.id !== topic.id) position.offset = 0
  position.topic = topic
}

function readingOf(position: Position): Reading {
  return { topic: position.topic!, partition: position.place.partition, position }
}

const keyOf = ({ kind, partition }: Place): string => `${kind}/${partition}`
const fetchKey = (topicId: string, partition: number): string => `${topicId}/${partition}`
