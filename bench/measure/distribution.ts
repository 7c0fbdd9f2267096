// Latencies as a result keeps them: some quantiles to read, and the whole histogram to merge and plot.
import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from 'hdr-histogram-js'
import type { Distribution } from '../result.ts'

/** A minute, in µs: what takes longer counts as that. */
const HIGHEST_US = 60_000_000

/** Undefined for nothing. */
export function distribution(valuesUs: Iterable<number>): Distribution | undefined {
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_US,
    numberOfSignificantValueDigits: 3,
  })
  for (const value of valuesUs) {
    histogram.recordValue(Math.max(1, Math.min(HIGHEST_US, Math.round(value))))
  }
  return histogram.totalCount === 0 ? undefined : summary(histogram)
}

/** Of several runs together: percentiles are not averaged, histograms are added. */
export function merged(distributions: readonly Distribution[]): Distribution | undefined {
  const [first, ...others] = distributions
  if (first === undefined) return undefined
  const sum = decodeFromCompressedBase64(first.hdr)
  for (const { hdr } of others) sum.add(decodeFromCompressedBase64(hdr))
  return summary(sum)
}

/** µs at each percentile. */
export function percentiles({ hdr }: Distribution, at: readonly number[]): number[] {
  const histogram = decodeFromCompressedBase64(hdr)
  return at.map((percentile) => histogram.getValueAtPercentile(percentile))
}

function summary(histogram: Histogram): Distribution {
  const at = (percentile: number): number => histogram.getValueAtPercentile(percentile)
  return {
    count: histogram.totalCount,
    mean: histogram.mean,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: histogram.maxValue,
    hdr: encodeIntoCompressedBase64(histogram),
  }
}
