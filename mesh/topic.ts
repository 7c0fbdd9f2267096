// Topics and patterns. Levels are separated by `/`; in a pattern `*` stands for exactly one level
// and a last `>` for one or more. Matching is by whole levels: `t/1/x` matches neither `t/10/x` nor
// `t/1/xy`.
//
//   t/<shard>/<stream>   live telemetry               a/<publisher>   acknowledgements
//   f/<store>            frames for one store         m/peers         membership
//   b/<shard>            backlog, through a broker    s/<schema id>   a schema; s/ask asks for one
import type { PeerId, SchemaId, StoreId } from './names.ts'

export type TopicPattern = string

export const TOPIC_BYTES_MAX = 512

export const liveTopic = (shard: number, stream: string): string => `t/${shard}/${stream}`
export const framesTopic = (store: StoreId): string => `f/${store}`
export const backlogTopic = (shard: number): string => `b/${shard}`
export const ackTopic = (publisher: PeerId): string => `a/${publisher}`
export const schemaTopic = (id: SchemaId): string => `s/${id}`
export const PEERS_TOPIC = 'm/peers'
export const SCHEMA_ASK_TOPIC = 's/ask'

/** @throws RangeError when it cannot be published on. */
export function checkTopic(topic: string): string {
  const fault = topicFault(topic)
  if (fault !== undefined) throw new RangeError(`topic ${JSON.stringify(topic)} ${fault}`)
  if (/[*>]/.test(topic)) throw new RangeError(`topic ${JSON.stringify(topic)} holds a wildcard`)
  return topic
}

/** @throws RangeError when a wildcard is not a whole level, or `>` is not the last. */
export function checkPattern(pattern: TopicPattern): TopicPattern {
  const fault = topicFault(pattern)
  if (fault !== undefined) throw new RangeError(`pattern ${JSON.stringify(pattern)} ${fault}`)
  const levels = pattern.split('/')
  for (const [index, level] of levels.entries()) {
    const alone = level === '*' || (level === '>' && index === levels.length - 1)
    if (!alone && /[*>]/.test(level)) {
      throw new RangeError(
        `pattern ${JSON.stringify(pattern)}: * must be a whole level, > the last one`,
      )
    }
  }
  return pattern
}

export function topicMatches(pattern: TopicPattern, topic: string): boolean {
  if (pattern === topic) return true
  const wanted = pattern.split('/')
  const levels = topic.split('/')
  for (const [index, want] of wanted.entries()) {
    if (want === '>') return levels.length > index
    if (index >= levels.length) return false
    if (want !== '*' && want !== levels[index]) return false
  }
  return wanted.length === levels.length
}

function topicFault(topic: string): string | undefined {
  if (topic.length === 0) return 'is empty'
  if (Buffer.byteLength(topic, 'utf8') > TOPIC_BYTES_MAX) return `exceeds ${TOPIC_BYTES_MAX} bytes`
  if (!/^[^/\s]+(\/[^/\s]+)*$/.test(topic)) return 'has an empty level or white space'
  return undefined
}
