// Where the bench has a store compact what is closed, for the figures after compaction.
import { setTimeout as delay } from 'node:timers/promises'
import { BenchError } from '../errors.ts'
import type { StoreProcess } from './store-process.ts'

/** So long a bucket of these stores is open: what they hold is closed soon after it came. */
export const CLOSING_BUCKET = '5s'
const LOOK_MS = 100
const LIMIT_MS = 300_000

/**
 * Resolves once a running store, that compacts, has rewritten all that it holds as blocks.
 * @throws BenchError BENCH_SYSTEM_FAILED when it does not.
 */
export async function compacted(store: StoreProcess): Promise<void> {
  const limitMs = performance.now() + LIMIT_MS
  for (;;) {
    const segments = store.segments()
    if (segments === 0) return
    if (performance.now() > limitMs) {
      throw new BenchError('BENCH_SYSTEM_FAILED', `${segments} segments are not compacted`)
    }
    await delay(LOOK_MS)
  }
}
