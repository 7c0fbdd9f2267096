// What `skein up` and the nodes it started tell each other over their IPC channel.
import type { StorageStats } from '../../nodes/index.ts'
import type { FleetCounts } from '../../sim/index.ts'

export interface Quantiles {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export type ChildMessage =
  | {
      readonly type: 'ready'
      readonly endpoint?: string | undefined
      readonly http?: string | undefined
    }
  | { readonly type: 'storage'; readonly stats: StorageStats }
  | {
      readonly type: 'aggregator'
      /** Published, and published but not stored yet. */
      readonly results: number
      readonly pending: number
      readonly rssBytes: number
    }
  | {
      readonly type: 'fleet'
      readonly counts: FleetCounts
      readonly storedUs: Quantiles
      readonly trouble?: string | undefined
      readonly rssBytes: number
    }
  | { readonly type: 'warning'; readonly message: string }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }

/** To a node: drain for so long at most, and end. */
export interface StopMessage {
  readonly type: 'stop'
  readonly drainMs: number
}

let told: Promise<unknown> = Promise.resolve()

/** To the parent, when there is one. */
export function tellParent(message: ChildMessage): void {
  if (!process.connected) return
  told = new Promise((resolve) => process.send!(message, resolve))
}

/** Resolves when all of it has been written: a channel that is closed before drops the rest. */
export async function allTold(): Promise<void> {
  await told
}
