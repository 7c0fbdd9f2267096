// What is published on its way to Kafka. One connection to each broker that leads partitions, several
// requests in flight on it; what is published meanwhile gathers, and goes in one request with a batch
// for each partition. acks=all. Nothing is sent twice: when a request fails or a connection is lost,
// everything unconfirmed counts as lost, and whoever published it sends it again. So the order of a
// partition needs no producer id: requests of one connection are served one after the other.
import type { Clock } from '../clock.ts'
import type { TransportCounters } from '../transport.ts'
import type { KafkaClient } from './kafka-client.ts'
import type { Route } from './kafka-lanes.ts'
import { Lanes, MESSAGE_OVERHEAD_BYTES } from './kafka-lanes.ts'
import { Rounds } from './kafka-rounds.ts'
import type { KafkaTopics } from './kafka-topics.ts'
import { placeOf } from './kafka-topics.ts'

/** Topics whose places are remembered. */
const ROUTES_MAX = 16_384

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
