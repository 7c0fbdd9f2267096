// What the bench sets in Kafka, by Kafka's own names; everything else is as it ships. The producer reads
// its settings from here, the native tool is given the same, and the result prints them.
import { TUNINGS, type Setting, type Tuning } from './system.ts'

interface ProducerTuning {
  readonly 'linger.ms': number
  readonly 'batch.size': number
  readonly 'max.in.flight.requests.per.connection': number
}

/**
 * default: the values of Kafka 4. latency: what there is leaves at once. A broker serves the requests of a
 * connection one after the other, so with more than two in flight the others only wait there, each for a
 * sync of its own, instead of here, where they gather: with five the median receipt took twice as long
 * when the disk was busy, and as long when it was not.
 */
export const PRODUCER_TUNINGS: Readonly<Record<Tuning, ProducerTuning>> = {
  default: { 'linger.ms': 5, 'batch.size': 16_384, 'max.in.flight.requests.per.connection': 5 },
  latency: { 'linger.ms': 0, 'batch.size': 131_072, 'max.in.flight.requests.per.connection': 2 },
  throughput: {
    'linger.ms': 5,
    'batch.size': 1_048_576,
    'max.in.flight.requests.per.connection': 5,
  },
}

/** Kafka's defaults. */
export const MAX_REQUEST_BYTES = 1_048_576
export const RECONNECT_FIRST_MS = 50
export const RECONNECT_MOST_MS = 1_000

/** More than Kafka's 32 MiB, which would make whoever publishes wait. */
export const BUFFER_BYTES = 256 * 1024 * 1024

/** A batch is one message to Kafka, and a compressed one may come out larger than was expected. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024

/** Kafka's own default is one; several brokers lead one each. */
export const partitionsOf = ({ extra, stores }: Pick<Setting, 'extra' | 'stores'>): number =>
  extra?.['partitions'] ?? stores ?? 1

/**
 * `extra.flushMessages`: synced after so many messages, whatever was vouched for before. Default: each. By
 * every broker that has a copy, before it says so.
 */
export function topicSettings({
  tier,
  extra,
  copies,
}: Pick<Setting, 'tier' | 'extra' | 'copies'>): Record<string, string | number> {
  return {
    'compression.type': 'producer',
    'max.message.bytes': MAX_MESSAGE_BYTES,
    'min.insync.replicas': copies,
    ...(tier === 'synced' && { 'flush.messages': extra?.['flushMessages'] ?? 1 }),
  }
}

/** As kafka-producer-perf-test takes them, too. */
export function producerSettings({
  tuning,
  compress,
}: Pick<Setting, 'tuning' | 'compress'>): Record<string, string | number> {
  return {
    acks: 'all',
    'enable.idempotence': 'true',
    'compression.type': compress ? 'zstd' : 'none',
    'max.request.size': MAX_REQUEST_BYTES,
    'reconnect.backoff.ms': RECONNECT_FIRST_MS,
    'reconnect.backoff.max.ms': RECONNECT_MOST_MS,
    ...PRODUCER_TUNINGS[tuning],
  }
}

/** What the bench's own clients do, in the words of Kafka's. */
export function clientConfiguration() {
  return {
    topic: {
      written: topicSettings({ tier: 'written', copies: 1 }),
      synced: topicSettings({ tier: 'synced', copies: 1 }),
      'min.insync.replicas': 'as many as there are copies',
    },
    producer: {
      ...Object.fromEntries(
        TUNINGS.map((tuning) => [tuning, producerSettings({ tuning, compress: false })]),
      ),
      'compression.type': 'zstd, level 3, where compression is on',
      'buffer.memory': BUFFER_BYTES,
      'request.timeout.ms': 10_000,
      'delivery.timeout.ms':
        'none: what is not confirmed is sent again, in order, until it is there once',
      partitioner: 'murmur2 of the source, which is the key',
    },
    consumer: {
      'fetch.min.bytes': 1,
      'fetch.max.wait.ms': 500,
      'fetch.max.bytes': 8 * 1024 * 1024,
      'max.partition.fetch.bytes': 1024 * 1024,
      group: 'none: one reads all partitions and keeps its own offsets',
    },
  }
}
