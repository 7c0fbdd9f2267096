// Fetch, version 15, as an incremental session (KIP-227) on one connection. The request is the client
// library's own; the answer is read here, because the library's reader fails the whole answer for one
// partition's error or one batch that it cannot decode.
import type { Connection, Reader } from '@platformatic/kafka'
import type { KafkaClient } from './kafka-client.ts'
import { Cursor } from './kafka-records.ts'
import { KafkaTrouble } from './kafka-trouble.ts'

export interface FetchOffset {
  readonly topicId: string
  readonly partition: number
  readonly offset: number
}

export interface FetchedPartition {
  readonly topicId: string
  readonly partition: number
  /** 0, or OFFSET_OUT_OF_RANGE; anything else ends the fetch. */
  readonly errorId: number
  readonly highWatermark: number
  /** Whole batches, then perhaps a part of one. */
  readonly records: Buffer | undefined
}

export const OFFSET_OUT_OF_RANGE = 1
const SESSION_NOT_FOUND = 70
const SESSION_EPOCH_INVALID = 71

const FETCH_KEY = 1
const FETCH_VERSION = 15
/** How long a broker holds a fetch that has nothing to give. */
const WAIT_MS = 500
const BYTES_MIN = 1
const BYTES_MAX = 8 * 1024 * 1024
/** A larger batch comes all the same, alone. */
const PARTITION_BYTES_MAX = 1024 * 1024
const UNCOMMITTED = 0
const NO_EPOCH = -1

interface Answer {
  readonly errorId: number
  readonly sessionId: number
  readonly partitions: readonly FetchedPartition[]
}

export class FetchSession {
  private readonly client: KafkaClient
  private readonly connection: Connection
  private id = 0
  private epoch = 0
  /** What the broker knows of us: offsets by topic and partition. */
  private readonly known = new Map<string, number>()

  constructor(client: KafkaClient, connection: Connection) {
    this.client = client
    this.connection = connection
  }

  /** The partitions there is news of. @throws KafkaTrouble. */
  async fetch(offsets: readonly FetchOffset[]): Promise<readonly FetchedPartition[]> {
    const changed = offsets.filter((each) => this.known.get(keyOf(each)) !== each.offset)
    const answer = await this.client.answer(this.connection, 'give what is published', () =>
      this.request(changed),
    )
    const { errorId, sessionId, partitions } = answer
    if (errorId === SESSION_NOT_FOUND || errorId === SESSION_EPOCH_INVALID) {
      this.forget()
      return []
    }
    if (errorId !== 0) throw this.refusal(errorId)
    for (const each of changed) this.known.set(keyOf(each), each.offset)
    if (sessionId === 0) {
      // The broker has no room for sessions: every request is a whole one.
      this.forget()
    } else {
      this.id = sessionId
      this.epoch = this.epoch === 0x7fff_ffff ? 1 : this.epoch + 1
    }
    for (const { errorId: id } of partitions) {
      if (id !== 0 && id !== OFFSET_OUT_OF_RANGE) throw this.refusal(id)
    }
    return partitions
  }

  private forget(): void {
    this.id = 0
    this.epoch = 0
    this.known.clear()
  }

  private request(changed: readonly FetchOffset[]): Promise<Answer> {
    const { createAPI, fetchV15 } = this.client.kafka
    const topics = [...Map.groupBy(changed, ({ topicId }) => topicId)].map(
      ([topicId, partitions]) => ({
        topicId,
        partitions: partitions.map(({ partition, offset }) => ({
          partition,
          currentLeaderEpoch: NO_EPOCH,
          fetchOffset: BigInt(offset),
          lastFetchedEpoch: NO_EPOCH,
          partitionMaxBytes: PARTITION_BYTES_MAX,
        })),
      }),
    )
    const request = (): ReturnType<typeof fetchV15.createRequest> =>
      fetchV15.createRequest(
        WAIT_MS,
        BYTES_MIN,
        BYTES_MAX,
        UNCOMMITTED,
        this.id,
        this.epoch,
        topics,
        [],
        '',
      )
    return createAPI(FETCH_KEY, FETCH_VERSION, request, parseAnswer).async(this.connection)
  }

  private refusal(errorId: number): KafkaTrouble {
    const { protocolErrorsCodesById } = this.client.kafka
    const names = protocolErrorsCodesById as Readonly<Record<number, string>>
    const name = names[errorId] ?? `error ${errorId}`
    const isSlow = name.endsWith('AUTHORIZATION_FAILED')
    return new KafkaTrouble(`a broker refuses to give what is published (${name})`, { isSlow })
  }
}

/**
 * throttle 4 · error 2 · session 4 · topics [ id 16 · partitions [ partition 4 · error 2 ·
 * high watermark 8 · stable offset 8 · log start 8 · aborted [ 16 · tags ] · replica 4 · records · tags ] · tags ] · tags
 */
function parseAnswer(_id: number, _key: number, _version: number, reader: Reader): Answer {
  const cursor = new Cursor(reader.buffer.buffer)
  cursor.skip(4)
  const errorId = cursor.int16()
  const sessionId = cursor.int32()
  const partitions: FetchedPartition[] = []
  for (let topics = cursor.unsignedVarint() - 1; topics > 0; topics -= 1) {
    const topicId = cursor.bytes(16)!.toString('hex')
    for (let left = cursor.unsignedVarint() - 1; left > 0; left -= 1) {
      partitions.push(parsePartition(cursor, topicId))
    }
    skipTags(cursor)
  }
  return { errorId, sessionId, partitions }
}

function parsePartition(cursor: Cursor, topicId: string): FetchedPartition {
  const partition = cursor.int32()
  const errorId = cursor.int16()
  const highWatermark = cursor.int64()
  cursor.skip(16)
  for (let aborted = cursor.unsignedVarint() - 1; aborted > 0; aborted -= 1) {
    cursor.skip(16)
    skipTags(cursor)
  }
  cursor.skip(4)
  const records = cursor.bytes(cursor.unsignedVarint() - 1)
  skipTags(cursor)
  return { topicId, partition, errorId, highWatermark, records }
}

function skipTags(cursor: Cursor): void {
  for (let tags = cursor.unsignedVarint(); tags > 0; tags -= 1) {
    cursor.unsignedVarint()
    cursor.skip(cursor.unsignedVarint())
  }
}

const keyOf = ({ topicId, partition }: FetchOffset): string => `${topicId}/${partition}`
