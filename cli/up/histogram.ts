// The three figures of a latency histogram that people read.
import type { RecordableHistogram } from 'node:perf_hooks'
import type { Quantiles } from './child-messages.ts'

/** Microseconds; zeros while nothing was recorded. */
export function quantiles(histogram: RecordableHistogram): Quantiles {
  if (histogram.count === 0) return { p50: 0, p99: 0, max: 0 }
  return { p50: histogram.percentile(50), p99: histogram.percentile(99), max: histogram.max }
}
