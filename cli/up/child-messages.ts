// What `skein up` and the nodes it started tell each other over their IPC channel.
import type { FleetCounts } from '../../sim/index.ts'

export interface Quantiles {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export interface StoreStats {
  readonly storeId: string
  readonly frames: number
  readonly samples: number
  readonly bytes: number
  readonly duplicates: number
  readonly conflicts: number
  readonly queuedBytes: number
  readonly rssBytes: number
  readonly refusing?: string | undefined
}

export type ChildMessage =
  | {
      readonly type: 'ready'
      readonly endpoint?: string | undefined
      readonly http?: string | undefined
    }
  | { readonly type: 'store'; readonly stats: StoreStats }
  | { readonly type: 'aggregator'; readonly results: number; readonly samples: number }
  | {
      readonly type: 'fleet'
      readonly counts: FleetCounts
      readonly storedUs: Quantiles
      readonly trouble?: string | undefined
    }
  | { readonly type: 'warning'; readonly message: string }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }

export type ParentMessage = { readonly type: 'stop' }

/** To the parent, when there is one. */
export function tellParent(message: ChildMessage): void {
  if (process.connected) process.send?.(message)
}
