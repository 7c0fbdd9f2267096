// A consumer for the bench: reads all partitions of a topic over one connection to each broker that leads
// some, without a group, and goes on where it was after a lost one. The next fetch waits at the broker while
// what came is handed over.
import type { KafkaClient } from '../../mesh/transports/kafka-client.ts'
import {
  FetchSession,
  OFFSET_OUT_OF_RANGE,
  type FetchedPartition,
} from '../../mesh/transports/kafka-fetch.ts'
import { EARLIEST, LATEST, offsetsAt } from '../../mesh/transports/kafka-offsets.ts'
import { decodeBatches } from '../../mesh/transports/kafka-records.ts'
import { KafkaTrouble } from '../../mesh/transports/kafka-trouble.ts'
import { messageDecoder } from '../messages.ts'
import { Attempts, kafkaAccess, ledTopic, partitionsByLeader } from './kafka-attempts.ts'
import type { Consumer, ConsumerOptions } from './system.ts'

/** What one broker leads. */
interface Part {
  readonly session: FetchSession
  readonly topicId: string
  readonly partitions: readonly number[]
}

export class KafkaConsumer implements Consumer {
  private readonly options: ConsumerOptions
  private readonly decode: ReturnType<typeof messageDecoder>
  /** Read next, by partition; undefined until the broker has said where reading begins. */
  private offsets: number[] | undefined
  private attempts!: Attempts

  /** Resolves when it is settled where it begins. */
  static async open(options: ConsumerOptions): Promise<KafkaConsumer> {
    const { channel, process } = options
    const consumer = new KafkaConsumer(options)
    const access = await kafkaAccess(channel.address, `bench-consumer-${process}`)
    consumer.attempts = new Attempts(access, (client, works) => consumer.run(client, works))
    await consumer.attempts.start()
    return consumer
  }

  private constructor(options: ConsumerOptions) {
    this.options = options
    this.decode = messageDecoder(options.form)
  }

  close(): Promise<void> {
    return this.attempts.close()
  }

  /** Reads until something fails. */
  private async run(client: KafkaClient, works: () => void): Promise<never> {
    const topic = await ledTopic(client, this.options.channel.name)
    const refs = topic.leaders.map((_, partition) => ({ topic, partition }))
    this.offsets ??= await offsetsAt(client, refs, this.options.fromStart ? EARLIEST : LATEST)
    const parts = await Promise.all(
      [...partitionsByLeader(topic)].map(async ([leader, partitions]) => ({
        session: new FetchSession(client, await client.dialNode(leader)),
        topicId: topic.id,
        partitions,
      })),
    )
    works()
    const [ended] = await Promise.all(parts.map((part) => this.read(part)))
    return ended!
  }

  private async read(part: Part): Promise<never> {
    let coming = this.fetch(part)
    for (;;) {
      const values = this.taken(await coming)
      coming = this.fetch(part)
      // Whoever waits for it hears of its failure; until then nobody does.
      coming.catch(() => undefined)
      for (const value of values) this.options.onSamples(this.decode(value))
    }
  }

  private fetch({ session, topicId, partitions }: Part): Promise<readonly FetchedPartition[]> {
    return session.fetch(
      partitions.map((partition) => ({ topicId, partition, offset: this.offsets![partition]! })),
    )
  }

  /** The records there are, which are then counted as read. */
  private taken(fetched: readonly FetchedPartition[]): Buffer[] {
    const values: Buffer[] = []
    for (const { partition, errorId, records } of fetched) {
      if (errorId === OFFSET_OUT_OF_RANGE) throw new KafkaTrouble('the broker has lost records')
      if (records === undefined) continue
      this.offsets![partition] = decodeBatches(records, this.offsets![partition]!, {
        record: (_offset, _key, value) => values.push(value),
        rejected: (count) => {
          throw new Error(`${count} records of ${this.options.channel.name} cannot be read`)
        },
      })
    }
    return values
  }
}
