// How a cost grows with a size: the exponent of the power law that fits best, by least squares on
// logarithms. 0 is flat, 1 is in proportion.

/** Undefined with fewer than two sizes. */
export function slopeOf(
  points: readonly (readonly [size: number, cost: number])[],
): number | undefined {
  const logs = points.map(([size, cost]) => [Math.log10(size), Math.log10(cost)] as const)
  const meanOf = (at: 0 | 1): number =>
    logs.reduce((sum, point) => sum + point[at], 0) / logs.length
  const [meanX, meanY] = [meanOf(0), meanOf(1)]
  const spread = logs.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  if (logs.length === 0 || spread === 0) return undefined
  return logs.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread
}
