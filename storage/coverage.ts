// What a query saw and what it did not. Computed at the asker from the digests of the stores that
// answered (docs/delivery.md §7).
import type { Epoch } from '../mesh/index.ts'

/** One store's knowledge of one lane as it travels: runs are flat arrays [a0, b0, a1, b1, …]. */
export interface LaneDigest {
  readonly source: string
  readonly stream: string
  readonly epoch: Epoch
  readonly held: readonly number[]
  readonly skipped: readonly number[]
  readonly trimmed: readonly number[]
  readonly ended?: number
  readonly lastIngestUs: number
}

/** A lane with sequences the answer lacks. Runs are flat arrays [a0, b0, …]. */
export interface LaneGap {
  readonly source: string
  readonly stream: string
  readonly epoch: Epoch
  /** Held by no store that answered, in a lane neither ended nor silent for 24 h: may still arrive. */
  readonly missing: readonly number[]
  /** As missing, but the lane ended or is silent for 24 h: closed, counted. */
  readonly lost: readonly number[]
  /** Dropped by the publisher, which said so. */
  readonly skipped: readonly number[]
  /** Held once, and removed by retention. */
  readonly trimmed: readonly number[]
  /** Known to be held by a store, but it could not be read from any. */
  readonly unreachable: readonly number[]
}

export interface Coverage {
  /** Every frame acknowledged before the query is in the answer (architecture.md §4.5). */
  readonly complete: boolean
  /** Why not, in words; empty when complete. */
  readonly reasons: readonly string[]
  readonly members: number
  readonly answered: number
  /** Stores that must answer: N - W + 1. */
  readonly needed: number
  readonly frames: number
  readonly lanes: number
  readonly gaps: readonly LaneGap[]
}
