// Offsets: where partitions begin and end, where they were at a time, and what a group has committed.
import type { KafkaClient, PartitionRef } from './kafka-client.ts'
import { byLeader } from './kafka-client.ts'

/** Stand for a time: the end, and the oldest kept. */
export const LATEST = -1
export const EARLIEST = -2

const NO_EPOCH = -1
/** A group without members: offsets are kept for us, partitions are our own business. */
const NO_GENERATION = -1

/**
 * The first offset at or after a time in ms since the Unix epoch, or at LATEST or EARLIEST; the end
 * when nothing is as young as that. In the order of `partitions`.
 */
export async function offsetsAt(
  client: KafkaClient,
  partitions: readonly PartitionRef[],
  timeMs: number,
): Promise<number[]> {
  const found = await listOffsets(client, partitions, timeMs)
  const young = partitions.filter((_, index) => found[index]! < 0)
  if (young.length === 0) return found
  const ends = (await listOffsets(client, young, LATEST)).values()
  return found.map((offset) => (offset < 0 ? ends.next().value! : offset))
}

/** Undefined where nothing was committed. In the order of `partitions`. */
export async function committedOffsets(
  client: KafkaClient,
  group: string,
  partitions: readonly PartitionRef[],
): Promise<(number | undefined)[]> {
  const { offsetFetchV8 } = client.kafka
  const connection = await client.coordinator(group)
  const topics = byTopic(partitions).map(([name, indexes]) => ({
    name,
    partitionIndexes: indexes,
  }))
  const answer = await client.answer(connection, `give the offsets of ${group}`, () =>
    offsetFetchV8.api.async(connection, [{ groupId: group, memberEpoch: NO_EPOCH, topics }], false),
  )
  const offsets = new Map<string, number>()
  for (const topic of answer.groups.flatMap((each) => each.topics)) {
    for (const { partitionIndex, committedOffset } of topic.partitions) {
      offsets.set(`${topic.name}/${partitionIndex}`, Number(committedOffset))
    }
  }
  return partitions.map(({ topic, partition }) => {
    const offset = offsets.get(`${topic.name}/${partition}`) ?? -1
    return offset < 0 ? undefined : offset
  })
}

export async function commitOffsets(
  client: KafkaClient,
  group: string,
  offsets: readonly (PartitionRef & { readonly offset: number })[],
): Promise<void> {
  const { offsetCommitV8 } = client.kafka
  const connection = await client.coordinator(group)
  const topics = byTopic(offsets).map(([name]) => ({
    name,
    partitions: offsets
      .filter(({ topic }) => topic.name === name)
      .map(({ partition, offset }) => ({
        partitionIndex: partition,
        committedOffset: BigInt(offset),
        committedLeaderEpoch: NO_EPOCH,
        committedMetadata: '',
      })),
  }))
  await client.answer(connection, `keep the offsets of ${group}`, () =>
    offsetCommitV8.api.async(connection, group, NO_GENERATION, '', null, topics),
  )
}

async function listOffsets(
  client: KafkaClient,
  partitions: readonly PartitionRef[],
  timeMs: number,
): Promise<number[]> {
  const { listOffsetsV7 } = client.kafka
  const found = new Map<string, number>()
  await Promise.all(
    [...byLeader(partitions)].map(async ([node, refs]) => {
      const topics = byTopic(refs).map(([name, indexes]) => ({
        name,
        partitions: indexes.map((partitionIndex) => ({
          partitionIndex,
          currentLeaderEpoch: NO_EPOCH,
          timestamp: BigInt(Math.floor(timeMs)),
        })),
      }))
      const connection = await client.to(node)
      const answer = await client.answer(connection, 'give offsets', () =>
        listOffsetsV7.api.async(connection, -1, 0, topics),
      )
      for (const topic of answer.topics) {
        for (const { partitionIndex, offset } of topic.partitions) {
          found.set(`${topic.name}/${partitionIndex}`, Number(offset))
        }
      }
    }),
  )
  return partitions.map(({ topic, partition }) => found.get(`${topic.name}/${partition}`) ?? -1)
}

function byTopic(partitions: readonly PartitionRef[]): [string, number[]][] {
  const indexes = new Map<string, number[]>()
  for (const { topic, partition } of partitions) {
    const known = indexes.get(topic.name)
    if (known === undefined) indexes.set(topic.name, [partition])
    else known.push(partition)
  }
  return [...indexes]
}
