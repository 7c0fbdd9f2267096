// Keeps a client of the bench at its broker: when anything fails, it waits as long as Kafka's own clients
// do and begins anew with a new connection, for ever. The connections and the protocol are those of the
// transport (docs/adr/0004).
import { Backoff } from '../../mesh/broker/backoff.ts'
import type { Clock } from '../../mesh/clock.ts'
import { systemClock, systemRandom } from '../../mesh/index.ts'
import {
  byLeader,
  KafkaClient,
  type KafkaAccess,
  type TopicState,
} from '../../mesh/transports/kafka-client.ts'
import { KafkaTrouble } from '../../mesh/transports/kafka-trouble.ts'
import { RECONNECT_FIRST_MS, RECONNECT_MOST_MS } from './kafka-settings.ts'

/** A broker that has just started says for a moment that it is not ready. */
const OPEN_LIMIT_MS = 10_000

/** While it waits there is no connection, and nothing else that keeps its process alive. */
const WAITING: Clock = {
  ...systemClock,
  startTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
}

export async function kafkaAccess(address: string, clientId: string): Promise<KafkaAccess> {
  return {
    kafka: await import('@platformatic/kafka'),
    clock: systemClock,
    brokers: [address],
    clientId,
    username: undefined,
    password: undefined,
    mechanism: 'PLAIN',
    tls: false,
  }
}

/** Works until something fails; calls `works` once it does. */
export type Attempt = (client: KafkaClient, works: () => void) => Promise<never>

export class Attempts {
  private readonly access: KafkaAccess
  private readonly attempt: Attempt
  private readonly first = Promise.withResolvers<void>()
  private readonly backoff = new Backoff({
    clock: WAITING,
    random: systemRandom,
    firstMs: RECONNECT_FIRST_MS,
    mostMs: RECONNECT_MOST_MS,
  })
  private client: KafkaClient | undefined
  private ended: Promise<void> = Promise.resolve()
  /** Until it works for the first time. */
  private giveUpMs = Infinity
  private isClosed = false

  constructor(access: KafkaAccess, attempt: Attempt) {
    this.access = access
    this.attempt = attempt
  }

  /** Resolves when it works for the first time; rejects when that takes too long, and ends. */
  start(): Promise<void> {
    this.giveUpMs = performance.now() + OPEN_LIMIT_MS
    this.ended = this.keepOn()
    return this.first.promise
  }

  /** Resolves when nothing of it goes on. */
  close(): Promise<void> {
    this.isClosed = true
    this.backoff.stop()
    this.client?.close()
    return this.ended
  }

  private async keepOn(): Promise<void> {
    while (!this.isClosed) {
      const client = new KafkaClient(this.access)
      this.client = client
      try {
        await client.connect()
        await this.attempt(client, () => this.works())
      } catch (error) {
        client.close()
        if (performance.now() > this.giveUpMs) {
          this.first.reject(error)
          return
        }
      }
      await this.backoff.wait()
    }
  }

  private works(): void {
    this.giveUpMs = Infinity
    this.backoff.reset()
    this.first.resolve()
  }
}

/** The topic, each partition of it with its leader. @throws KafkaTrouble when it is not there yet. */
export async function ledTopic(client: KafkaClient, name: string): Promise<TopicState> {
  const topic = (await client.topics([name])).get(name)
  if (topic === undefined || topic.leaders.includes(undefined)) {
    throw new KafkaTrouble(`topic ${name} is not led yet`)
  }
  return topic
}

/** Its partitions by the broker that leads them. */
export function partitionsByLeader(topic: TopicState): Map<number, number[]> {
  const refs = topic.leaders.map((_, partition) => ({ topic, partition }))
  const groups = [...byLeader(refs)]
  return new Map(groups.map(([leader, of]) => [leader, of.map(({ partition }) => partition)]))
}
