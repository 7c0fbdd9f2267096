// The JetStream stream of a mesh: made when it is missing, checked when it is there, and never
// changed or deleted, whatever is wrong with it.
import type { JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream'
import type { NatsSubjects } from './nats-subjects.ts'

const NS_PER_MS = 1_000_000
const STREAM_NOT_FOUND = 10059
const SUBJECTS_OVERLAP = 10065

export interface StreamSettings {
  /** Copies in a cluster. */
  readonly replicas: number
  readonly maxAgeMs: number
  /** On disk; beyond it the oldest go. */
  readonly maxBytes: number
}

/** What a broken stream keeps us from, and what to do about it: the message, in words. */
export class StreamTrouble extends Error {
  override readonly name = 'StreamTrouble'
}

/** @throws StreamTrouble, or whatever the client says when the server does not answer. */
export async function prepareStream(
  manager: JetStreamManager,
  subjects: NatsSubjects,
  settings: StreamSettings,
  messageBytesMax: number,
): Promise<StreamInfo> {
  const info =
    (await findStream(manager, subjects)) ?? (await addStream(manager, subjects, settings))
  const faults = streamFaults(info.config, subjects, messageBytesMax)
  if (faults.length === 0) return info
  throw new StreamTrouble(
    `stream ${subjects.stream} has foreign settings: ${faults.join('; ')}. Change them, or remove ` +
      `the stream (it is made again as it should be), or give this mesh another name`,
  )
}

async function findStream(
  manager: JetStreamManager,
  { stream }: NatsSubjects,
): Promise<StreamInfo | undefined> {
  try {
    return await manager.streams.info(stream)
  } catch (error) {
    if (apiCode(error) === STREAM_NOT_FOUND) return undefined
    throw error
  }
}

async function addStream(
  manager: JetStreamManager,
  subjects: NatsSubjects,
  { replicas, maxAgeMs, maxBytes }: StreamSettings,
): Promise<StreamInfo> {
  try {
    return await manager.streams.add({
      name: subjects.stream,
      subjects: [...subjects.kept],
      storage: 'file',
      retention: 'limits',
      discard: 'old',
      num_replicas: replicas,
      max_age: maxAgeMs * NS_PER_MS,
      max_bytes: maxBytes,
    })
  } catch (error) {
    // Somebody else was quicker, and made it as we would or with settings to be checked.
    const made = await findStream(manager, subjects)
    if (made !== undefined) return made
    throw cannotMake(subjects, error)
  }
}

function cannotMake({ stream, kept }: NatsSubjects, error: unknown): unknown {
  const code = apiCode(error)
  if (code === undefined) return error
  const hint =
    code === SUBJECTS_OVERLAP
      ? `another stream already takes some of ${kept.join(', ')}: remove that one, or give this mesh another name`
      : 'see the limits of the server and its account, and the settings replicas and maxBytes'
  return new StreamTrouble(`stream ${stream} cannot be made (${(error as Error).message}): ${hint}`)
}

function streamFaults(
  config: StreamConfig,
  { kept }: NatsSubjects,
  messageBytesMax: number,
): string[] {
  const faults: string[] = []
  const missing = kept.filter((own) => !(config.subjects ?? []).some((had) => covers(had, own)))
  if (missing.length > 0) faults.push(`its subjects must include ${missing.join(' and ')}`)
  if (config.retention !== 'limits') faults.push(`retention is ${config.retention}, must be limits`)
  if (config.storage !== 'file') faults.push(`storage is ${config.storage}, must be file`)
  if (config.discard !== 'old') faults.push(`discard is ${config.discard}, must be old`)
  if (config.max_msg_size >= 0 && config.max_msg_size < messageBytesMax) {
    faults.push(
      `max_msg_size is ${config.max_msg_size}, must be ${messageBytesMax} at least, or -1`,
    )
  }
  if (config.max_msgs_per_subject > 0) {
    faults.push(`max_msgs_per_subject is ${config.max_msgs_per_subject}, must be -1`)
  }
  if (config.no_ack === true) faults.push('no_ack is true, must be false')
  if (config.sealed) faults.push('it is sealed')
  return faults
}

/** Whether every subject of `own`, which ends in `>`, is one of `had`. */
function covers(had: string, own: string): boolean {
  const hadTokens = had.split('.')
  const ownTokens = own.split('.')
  for (const [index, token] of hadTokens.entries()) {
    if (token === '>') return index < ownTokens.length
    if (token !== ownTokens[index] && (token !== '*' || ownTokens[index] === '>')) return false
  }
  return hadTokens.length === ownTokens.length
}

/** The server's error code of a failed JetStream request; undefined when it is none. */
export function apiCode(error: unknown): number | undefined {
  const { code } = error as { code?: unknown }
  return typeof code === 'number' ? code : undefined
}
