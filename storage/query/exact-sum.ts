// Sums that do not depend on the order of their terms. A sum is kept as a few numbers that do not
// overlap and whose exact total is the exact sum of everything added (J. R. Shewchuk, "Adaptive
// Precision Floating-Point Arithmetic", 1997; Python's math.fsum rounds the same way). So stores can
// add up their parts and the asker theirs, in any order, and the answer has the same bits.
//
//   1e16 + 1 + 1 - 1e16   as [1e16, then 2 beside it] = 2, where plain addition says 0

/** Least magnitude first; a single NaN or Infinity once the sum is no longer finite. */
export type ExactSum = number[]

/** Adds in place. Past ±1.8e308 the sum is ±Infinity and stays so; the two together are NaN. */
export function addExactly(sum: ExactSum, term: number): void {
  if (sum.length === 1 && !Number.isFinite(sum[0])) {
    sum[0]! += term
    return
  }
  let high = term
  let kept = 0
  for (const part of sum) {
    const total = high + part
    // The larger of the two lost nothing to rounding; what the smaller lost is exact.
    const lost = Math.abs(high) < Math.abs(part) ? high - (total - part) : part - (total - high)
    if (!Number.isFinite(total)) {
      high = total
      break
    }
    if (lost !== 0) sum[kept++] = lost
    high = total
  }
  if (!Number.isFinite(high)) kept = 0
  sum.length = kept
  sum.push(high)
}

/** The sum, rounded once, to the nearest number. */
export function roundedSum(sum: ExactSum): number {
  let at = sum.length - 1
  let high = sum[at] ?? 0
  let low = 0
  while (at > 0 && low === 0) {
    const part = sum[--at]!
    const total = high + part
    low = part - (total - high)
    high = total
  }
  // Half-way between two numbers: the parts below decide, as one rounding of the whole would.
  if (at > 0 && low !== 0 && Math.sign(low) === Math.sign(sum[at - 1]!)) {
    const twice = low * 2
    const total = high + twice
    if (total - high === twice) high = total
  }
  // Which zero it is would depend on the order.
  return high + 0
}
