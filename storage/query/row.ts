// What a query answers with, and the one order everything is merged in. A sample has a name as its
// frame has: (source, epoch, sequence, index in the frame). Rows come by time, then by that name, so
// the same data gives the same rows in the same order whichever stores they are read from.
import type { Epoch, Fields } from '../../mesh/index.ts'
import type { Order } from './query.ts'

export interface RowKey {
  /** Event time, microseconds since the Unix epoch. */
  readonly timeUs: number
  readonly source: string
  readonly epoch: Epoch
  readonly sequence: number
  /** Position of the sample in its frame. */
  readonly index: number
}

/** One sample: a row of `range` and `latest`. */
export interface Row extends RowKey {
  readonly fields: Fields
}

/** Where a reader is in rows or buckets: a bucket has no more than its time and its source. */
export interface Position extends Pick<RowKey, 'timeUs' | 'source'> {
  readonly epoch?: Epoch | undefined
  readonly sequence?: number | undefined
  readonly index?: number | undefined
}

/** Time, source, epoch, sequence, index; what a key lacks counts as equal. Text by code unit. */
export function comparePositions(a: Position, b: Position): number {
  if (a.timeUs !== b.timeUs) return a.timeUs - b.timeUs
  if (a.source !== b.source) return a.source < b.source ? -1 : 1
  if (a.epoch === undefined || b.epoch === undefined) return 0
  if (a.epoch !== b.epoch) return a.epoch < b.epoch ? -1 : 1
  return (a.sequence ?? 0) - (b.sequence ?? 0) || (a.index ?? 0) - (b.index ?? 0)
}

/** The comparison of one order. */
export function comparer(order: Order): (a: Position, b: Position) => number {
  return order === 'asc' ? comparePositions : (a, b) => comparePositions(b, a)
}
