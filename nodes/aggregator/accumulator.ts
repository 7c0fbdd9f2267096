// Running statistics of one field. Two accumulators of disjoint samples merge into the one of all of
// them, so panes and partial results of several aggregators can be put together.

export const AGGREGATES = ['count', 'sum', 'avg', 'min', 'max'] as const
export type Aggregate = (typeof AGGREGATES)[number]

export class Accumulator {
  count = 0
  private sum = 0
  private min = Infinity
  private max = -Infinity

  /** `value` is finite: one NaN would poison the sum of its whole window. */
  add(value: number): void {
    this.count += 1
    this.sum += value
    if (value < this.min) this.min = value
    if (value > this.max) this.max = value
  }

  merge(other: Accumulator): void {
    this.count += other.count
    this.sum += other.sum
    this.min = Math.min(this.min, other.min)
    this.max = Math.max(this.max, other.max)
  }

  /** Undefined when nothing was added, for all but the count. */
  value(aggregate: Aggregate): number | undefined {
    if (aggregate === 'count') return this.count
    if (this.count === 0) return undefined
    return aggregate === 'avg' ? this.sum / this.count : this[aggregate]
  }
}
