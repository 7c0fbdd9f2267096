// Topics as NATS subjects. All of a mesh is below one prefix, by the mesh's name; a topic's levels
// become tokens:
//
//   t/17/vehicle.motion   ──►   skein.<mesh>.t.17.vehicle%2Emotion
//
// Characters that NATS gives a meaning to are percent-encoded, so that distinct topics stay distinct.
import { SCHEMA_ASK_TOPIC, checkTopic } from '../topic.ts'

/** Topics and subjects whose translation is remembered. */
const REMEMBERED_MAX = 16_384
/** The server's limit for a stream's name is 255 bytes; some of it is ours. */
const NAME_LENGTH_MAX = 200

export class NatsSubjects {
  /** Of everything of this mesh, without the last dot. */
  readonly prefix: string
  /** The JetStream stream. */
  readonly stream: string
  /** What the stream keeps. */
  readonly kept: readonly string[]
  private readonly subjects = new Map<string, string>()
  private readonly topics = new Map<string, string>()

  /** @throws RangeError for a name too long for a stream. */
  constructor(meshName: string) {
    const name = escapeName(meshName)
    this.prefix = `skein.${name}`
    this.stream = `skein-${name}`
    this.kept = ['t', 'b', 's'].map((kind) => `${this.prefix}.${kind}.>`)
  }

  ofTopic(topic: string): string {
    return remembered(this.subjects, topic, () => this.translate(topic))!
  }

  ofPattern(pattern: string): string {
    const levels = pattern.split('/').map((level) => (isWildcard(level) ? level : escape(level)))
    return `${this.prefix}.${levels.join('.')}`
  }

  /** Undefined for a subject that no topic has: somebody else's. */
  topicOf(subject: string): string | undefined {
    return remembered(this.topics, subject, () => {
      const tokens = subject.slice(this.prefix.length + 1).split('.')
      const topic = tokens.map(unescape).join('/')
      return isTopic(topic) && this.translate(topic) === subject ? topic : undefined
    })
  }

  /** What a consumer of these shards filters by. */
  ofShards(shards: Iterable<number>): string[] {
    return [...shards].flatMap((shard) => [
      `${this.prefix}.t.${shard}.>`,
      `${this.prefix}.b.${shard}`,
    ])
  }

  /** The shards of such a filter. */
  shardsOf(filters: readonly string[]): number[] {
    const start = `${this.prefix}.b.`
    return filters
      .filter((filter) => filter.startsWith(start))
      .map((filter) => Number(filter.slice(start.length)))
      .filter((shard) => Number.isInteger(shard))
  }

  private translate(topic: string): string {
    return `${this.prefix}.${topic.split('/').map(escape).join('.')}`
  }
}

/** Whether the stream keeps a topic for those who come later. A question is not worth it. */
export function isKept(topic: string): boolean {
  return /^[tbs]\/./.test(topic) && topic !== SCHEMA_ASK_TOPIC
}

/** A name as a stream's or consumer's name, where even fewer characters are allowed. */
export function escapeName(name: string): string {
  const escaped = Buffer.from(name, 'utf8')
    .toString('latin1')
    .replace(/[^A-Za-z0-9_-]/g, percent)
  if (escaped.length > 0 && escaped.length <= NAME_LENGTH_MAX) return escaped
  throw new RangeError(
    `name ${JSON.stringify(name)} cannot name a stream: it takes ${escaped.length} characters there, ` +
      `1 to ${NAME_LENGTH_MAX} are allowed`,
  )
}

function isTopic(topic: string): boolean {
  try {
    checkTopic(topic)
    return true
  } catch {
    return false
  }
}

const isWildcard = (level: string): boolean => level === '*' || level === '>'

// eslint-disable-next-line no-control-regex -- they would break the protocol's lines
const escape = (level: string): string => level.replace(/[\u0000- \u007f%.*>]/g, percent)

const unescape = (token: string): string =>
  token.replace(/%([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )

const percent = (character: string): string =>
  `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`

function remembered(
  memory: Map<string, string>,
  key: string,
  find: () => string | undefined,
): string | undefined {
  const known = memory.get(key)
  if (known !== undefined) return known
  const found = find()
  if (found === undefined) return undefined
  if (memory.size >= REMEMBERED_MAX) memory.clear()
  memory.set(key, found)
  return found
}
