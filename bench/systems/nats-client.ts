// Publishing to and reading from JetStream with nats.js.
import { NatsConsumer } from './nats-consumer.ts'
import { NatsProducer } from './nats-producer.ts'
import type { BenchClient } from './system.ts'

export const client: BenchClient = {
  openProducer: (options) => NatsProducer.open(options),
  openConsumer: (options) => NatsConsumer.open(options),
}
