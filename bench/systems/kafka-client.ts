// Publishing to and consuming from Kafka, in a process of its own.
import { KafkaConsumer } from './kafka-consumer.ts'
import { KafkaProducer } from './kafka-producer.ts'
import type { BenchClient } from './system.ts'

export const client: BenchClient = {
  openProducer: (options) => KafkaProducer.open(options),
  openConsumer: (options) => KafkaConsumer.open(options),
}
