// Guesses about a stream's data, from what the store has in memory anyway: where it begins and ends,
// and how dense it is. They only decide how wide the windows of a scan are (window.ts); with wrong
// ones the answer is the same, and slower.
import { epochStartUs } from '../../mesh/index.ts'
import type { FrameStore } from '../frame-store.ts'
import type { LatestTable } from '../latest.ts'

export interface ScanHints {
  /** Begin of the first epoch: samples are rarely older than their publisher. */
  readonly oldestUs: number
  /** Event time of the newest sample. */
  readonly newestUs: number
  /** Samples per microsecond, on average, of all sources together. */
  readonly density: number
}

/** Undefined when nothing is known. Cost: two look-ups per source. */
export function scanHints(
  store: FrameStore,
  latest: LatestTable,
  stream: string,
  sources: ReadonlySet<string>,
): ScanHints | undefined {
  let oldestUs = Number.POSITIVE_INFINITY
  let newestUs = 0
  let samples = 0
  for (const source of sources) {
    for (const { epoch, lastIngestUs, sampleCount } of store.lanesOf(stream, source)) {
      if (sampleCount === 0) continue
      oldestUs = Math.min(oldestUs, epochStartUs(epoch))
      newestUs = Math.max(newestUs, lastIngestUs)
      samples += sampleCount
    }
  }
  if (samples === 0) return undefined
  const density = samples / Math.max(1, newestUs - oldestUs)
  // The newest samples by their own time, which ingest time only approximates.
  let newestSampleUs = 0
  for (const source of sources) {
    const timeUs = latest.get(stream, source)?.timeUs
    if (timeUs !== undefined) newestSampleUs = Math.max(newestSampleUs, timeUs)
  }
  return { oldestUs, newestUs: newestSampleUs === 0 ? newestUs : newestSampleUs, density }
}
