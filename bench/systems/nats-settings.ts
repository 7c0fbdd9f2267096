// What JetStream is told, by tier and tuning. The tier decides the server's sync_interval and where a
// stream is kept; the tuning decides how much is on its way unanswered, and whether in batches.
import type { StreamConfig } from '@nats-io/jetstream'
import type { Setting, Tier, Tuning } from './system.ts'

/** A consumer hears from an idle server this often; flow control asks for it. */
export const HEARTBEAT_MS = 5_000

const NS_PER_MS = 1_000_000

/**
 * atomic: a batch is kept whole or not at all, with one fsync for all of it (server 2.12 and later).
 * fast: a batch is kept message by message, and answered once (2.14 and later).
 */
export type BatchKind = 'atomic' | 'fast'

/** How a producer publishes. */
export interface Publishing {
  /** Messages, or batches, without their answer. */
  readonly unanswered: number
  /** Most in a batch; 1: every message has an answer of its own. */
  readonly batchMessages: number
  /** Fewer are published one by one. */
  readonly batchLeast?: number
  readonly batches?: BatchKind
}

/**
 * 500 is what `nats bench js pub async` has. A server takes no atomic batch above 1,000 messages; one takes
 * four fsyncs and its own files, 3 ms, as long as 20 messages that are synced one by one.
 */
const PUBLISHING: Readonly<Record<Tuning, Publishing>> = {
  default: { unanswered: 500, batchMessages: 1 },
  latency: { unanswered: 64, batchMessages: 1 },
  throughput: { unanswered: 4, batchMessages: 1_000, batchLeast: 20 },
}

export function publishingOf({ tier, tuning }: Pick<Setting, 'tier' | 'tuning'>): Publishing {
  const publishing = PUBLISHING[tuning]
  if (publishing.batchMessages === 1) return publishing
  // Where nothing is synced an atomic batch is the slower one: it is written twice.
  return { ...publishing, batches: tier === 'synced' ? 'atomic' : 'fast' }
}

/** The server's own: every two minutes, unless a receipt is to vouch for more. */
export function syncsAlways(tier: Tier): boolean {
  return tier === 'synced'
}

export function streamSettings(setting: Setting) {
  const { batches } = publishingOf(setting)
  return {
    storage: setting.tier === 'received' ? 'memory' : 'file',
    num_replicas: 1,
    retention: 'limits',
    discard: 'old',
    compression: setting.compress ? 's2' : 'none',
    ...(batches === 'atomic' && { allow_atomic: true }),
    ...(batches === 'fast' && { allow_batched: true }),
  } satisfies Partial<StreamConfig>
}

/** A push consumer that the server paces by what the client has taken: ordered, nothing to acknowledge. */
export const CONSUMER_SETTINGS = {
  ack_policy: 'none',
  flow_control: true,
  idle_heartbeat: HEARTBEAT_MS * NS_PER_MS,
  mem_storage: true,
  num_replicas: 1,
} as const
