// Which of Kafka's topics and partitions carry ours, and how they are made. Five to a mesh:
//
//   skein.<mesh>.telemetry   t/<shard>/…     partition = shard
//   skein.<mesh>.backlog     b/<shard>       partition = shard
//   skein.<mesh>.acks        a/<publisher>   partition by hash of the publisher
//   skein.<mesh>.schemas     s/…             one partition; compacted, so the last of each topic stays
//   skein.<mesh>.members     whatever else   one partition
//
// They are made at first use. One that exists is never changed or deleted: where its settings would
// lose what is published, trouble() says which and what to do.
import type { KafkaClient, TopicState } from './kafka-client.ts'
import { KafkaTrouble } from './kafka-trouble.ts'

export type TopicKind = 'telemetry' | 'backlog' | 'acks' | 'schemas' | 'members'

export interface Place {
  readonly kind: TopicKind
  readonly partition: number
}

const SHARD_PARTITIONS = 64
const PARTITIONS: Readonly<Record<TopicKind, number>> = {
  telemetry: SHARD_PARTITIONS,
  backlog: SHARD_PARTITIONS,
  acks: 16,
  schemas: 1,
  members: 1,
}
const KINDS = Object.keys(PARTITIONS) as readonly TopicKind[]
const KIND_OF_LEVEL: ReadonlyMap<string, TopicKind> = new Map([
  ['t', 'telemetry'],
  ['b', 'backlog'],
  ['a', 'acks'],
  ['s', 'schemas'],
])

/** A batch holds at least one message of 8 MiB, its topic and its frame of some tens of bytes. */
export const KAFKA_MESSAGE_BYTES_MAX = 8 * 1024 * 1024
const BATCH_BYTES_MAX = 9 * 1024 * 1024
/** Acks, announcements and asks are state that is said again; ten minutes of it are plenty. */
const STATE_RETENTION_MS = 600_000
/** Kafka names may have 249 bytes; `skein.` and `.telemetry` take 16. */
const MESH_NAME_MAX = 233
const NEW_TOPICS_TRIES = 100
const NEW_TOPICS_WAIT_MS = 50

/**
 * Where a message on `topic` goes. Any topic has one place, and all messages of a topic the same, so
 * their order stays.
 */
export function placeOf(topic: string): Place {
  const [first, second] = topic.split('/', 2) as [string, string | undefined]
  const kind = second === undefined ? undefined : KIND_OF_LEVEL.get(first)
  if (kind === undefined || second === undefined) return { kind: 'members', partition: 0 }
  if (kind === 'telemetry' || kind === 'backlog') return { kind, partition: shardPartition(second) }
  return { kind, partition: PARTITIONS[kind] === 1 ? 0 : hashOf(second) % PARTITIONS[kind] }
}

/** The partition of a shard, in telemetry and in backlog. */
export const partitionOfShard = (shard: number): number => shard % SHARD_PARTITIONS

/** Everywhere that messages matching `pattern` can be. */
export function placesOf(pattern: string): Place[] {
  const [first, second] = pattern.split('/', 2) as [string, string | undefined]
  const isAny = (level: string | undefined): boolean => level === '*' || level === '>'
  if (!isAny(first)) {
    if (!isAny(second)) return [placeOf(pattern)]
    return placesOfKind(KIND_OF_LEVEL.get(first) ?? 'members')
  }
  return KINDS.flatMap(placesOfKind)
}

export const coversSchemas = (pattern: string): boolean =>
  placesOf(pattern).some(({ kind }) => kind === 'schemas')

function placesOfKind(kind: TopicKind): Place[] {
  return Array.from({ length: PARTITIONS[kind] }, (_, partition) => ({ kind, partition }))
}

function shardPartition(level: string): number {
  return partitionOfShard(/^\d{1,9}$/.test(level) ? Number(level) : hashOf(level))
}

/** FNV-1a over UTF-16 units: every process must agree on it, nothing else is asked of it. */
function hashOf(text: string): number {
  let hash = 0x811c_9dc5
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x0100_0193)
  }
  return hash >>> 0
}

/** Kafka allows letters, digits, `.`, `_` and `-`, and takes `.` and `_` for the same in its metrics. */
export function escapeMeshName(name: string): string {
  let escaped = ''
  for (const byte of Buffer.from(name, 'utf8')) {
    const character = String.fromCharCode(byte)
    escaped += /[A-Za-z0-9-]/.test(character) ? character : `_${byte.toString(16).padStart(2, '0')}`
  }
  return escaped
}

export interface KafkaTopicsOptions {
  readonly meshName: string
  readonly replication: number
  readonly retentionMs: number
}

interface Rule {
  readonly config: string
  readonly isGood: (value: string) => boolean
  readonly wanted: string
}

interface Broken {
  readonly config: string
  readonly value: string
  readonly wanted: string
}

export class KafkaTopics {
  private readonly options: KafkaTopicsOptions
  private readonly prefix: string

  /** @throws RangeError when the mesh's name is empty, or too long for a topic of Kafka's. */
  constructor(options: KafkaTopicsOptions) {
    const escaped = escapeMeshName(options.meshName)
    if (escaped === '' || escaped.length > MESH_NAME_MAX) {
      const name = JSON.stringify(options.meshName)
      throw new RangeError(`mesh name ${name} has no place in the name of a Kafka topic`)
    }
    this.options = options
    this.prefix = `skein.${escaped}.`
  }

  nameOf(kind: TopicKind): string {
    return this.prefix + kind
  }

  /** Makes what is missing and checks what is there. @throws KafkaTrouble with what is wrong. */
  async prepare(client: KafkaClient): Promise<ReadonlyMap<TopicKind, TopicState>> {
    const names = KINDS.map((kind) => this.nameOf(kind))
    let states = await client.topics(names)
    const missing = KINDS.filter((kind) => !states.has(this.nameOf(kind)))
    for (const kind of missing) await this.create(client, kind)
    for (let tries = 0; !names.every((name) => isReady(states.get(name))); tries += 1) {
      if (tries === NEW_TOPICS_TRIES) throw this.notReady(names, states)
      await client.wait(NEW_TOPICS_WAIT_MS)
      states = await client.topics(names)
    }
    const prepared = new Map(KINDS.map((kind) => [kind, states.get(this.nameOf(kind))!]))
    await this.check(client, prepared)
    return prepared
  }

  private async create(client: KafkaClient, kind: TopicKind): Promise<void> {
    const { replication } = this.options
    await client.createTopic({
      name: this.nameOf(kind),
      partitions: PARTITIONS[kind],
      replication,
      configs: this.configsOf(kind),
    })
  }

  private configsOf(kind: TopicKind): Record<string, string | number> {
    const { replication, retentionMs: telemetryMs } = this.options
    const shared = {
      'max.message.bytes': BATCH_BYTES_MAX,
      'min.insync.replicas': Math.floor(replication / 2) + 1,
      'compression.type': 'producer',
      // The broker's clock, so that a publisher's wrong one decides neither retention nor replay.
      'message.timestamp.type': 'LogAppendTime',
    }
    if (kind === 'schemas') return { ...shared, 'cleanup.policy': 'compact' }
    const retentionMs = PARTITIONS[kind] === SHARD_PARTITIONS ? telemetryMs : STATE_RETENTION_MS
    return {
      ...shared,
      'cleanup.policy': 'delete',
      'retention.ms': retentionMs,
      // Retention removes whole segments that are no longer written to.
      'segment.ms': Math.max(60_000, Math.floor(retentionMs / 4)),
      'segment.bytes': 128 * 1024 * 1024,
    }
  }

  private async check(
    client: KafkaClient,
    states: ReadonlyMap<TopicKind, TopicState>,
  ): Promise<void> {
    for (const [kind, { name, leaders }] of states) {
      if (leaders.length >= PARTITIONS[kind]) continue
      throw new KafkaTrouble(
        `topic ${name} has ${leaders.length} partitions, ${PARTITIONS[kind]} are needed: ` +
          'delete it (it is made again), or give the mesh another name',
        { isSlow: true },
      )
    }
    const configs = await client.topicConfigs(KINDS.map((kind) => this.nameOf(kind)))
    for (const kind of KINDS) {
      const values = configs.get(this.nameOf(kind))
      const broken = rulesOf(kind).flatMap(({ config, isGood, wanted }) => {
        const value = values?.get(config)
        return value === undefined || isGood(value) ? [] : { config, value, wanted }
      })
      if (broken.length > 0) throw this.foreignSettings(kind, broken)
    }
  }

  private foreignSettings(kind: TopicKind, broken: readonly Broken[]): KafkaTrouble {
    const name = this.nameOf(kind)
    const found = broken.map(({ config, value }) => `${config}=${value}`).join(' and ')
    const wanted = broken.map(({ config, wanted: good }) => `${config}=${good}`).join(',')
    return new KafkaTrouble(
      `topic ${name} has ${found}, which would lose messages: set it with kafka-configs.sh ` +
        `--alter --entity-type topics --entity-name ${name} --add-config ${wanted}, ` +
        'or give the mesh another name',
      { isSlow: true },
    )
  }

  private notReady(names: readonly string[], states: ReadonlyMap<string, TopicState>): Error {
    const name = names.find((each) => !isReady(states.get(each)))!
    const leaders = states.get(name)?.leaders
    if (leaders === undefined) return new KafkaTrouble(`topic ${name} was made and is not there`)
    const partition = leaders.indexOf(undefined)
    return new KafkaTrouble(
      `partition ${partition} of topic ${name} has no leader: are all brokers up?`,
    )
  }
}

const isReady = (state: TopicState | undefined): boolean =>
  state !== undefined && !state.leaders.includes(undefined)

function rulesOf(kind: TopicKind): Rule[] {
  const room: Rule = {
    config: 'max.message.bytes',
    isGood: (value) => Number(value) >= BATCH_BYTES_MAX,
    wanted: String(BATCH_BYTES_MAX),
  }
  if (kind === 'schemas') {
    return [
      room,
      { config: 'cleanup.policy', isGood: (value) => value === 'compact', wanted: 'compact' },
    ]
  }
  return [
    room,
    { config: 'cleanup.policy', isGood: (value) => value === 'delete', wanted: 'delete' },
  ]
}
