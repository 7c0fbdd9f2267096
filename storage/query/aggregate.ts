// Aggregates that merge: each store sums up the frames it reads, the asker merges the parts, and the
// result does not depend on how the frames were split. Numbers feed every aggregate; text and
// booleans count and can be first or last. NaN counts and makes sum and avg NaN, min and max pass it by.
import type { Value } from '../../mesh/index.ts'
import { addExactly, roundedSum, type ExactSum } from './exact-sum.ts'
import type { Aggregate } from './query.ts'
import { comparePositions, type Row, type RowKey } from './row.ts'

/** What is known of one field in one bucket. First and last by the order of rows, so ties are settled. */
export interface FieldPartial {
  count: number
  /** How many of them were numbers. */
  numbers: number
  sum: ExactSum
  min?: number
  max?: number
  first?: Edge
  last?: Edge
}

export interface Edge {
  readonly key: RowKey
  readonly value: Value
}

/** One bucket of one source, or of the whole stream when `source` is empty. */
export interface BucketPartial {
  /** Begin of the bucket, microseconds since the Unix epoch. */
  readonly timeUs: number
  readonly source: string
  readonly fields: Map<string, FieldPartial>
}

/** One row of `downsample`; `source` is absent when grouped by stream. */
export interface BucketRow {
  readonly timeUs: number
  readonly source?: string
  /** Per field, the aggregates asked for; those a field has no value for are absent. */
  readonly fields: Readonly<Record<string, Readonly<Partial<Record<Aggregate, Value>>>>>
}

/** Adds one row's fields. `edges`: keep first and last too, which costs a key per field. */
export function addRow(bucket: BucketPartial, row: Row, edges: boolean): void {
  const { fields } = row
  let key: RowKey | undefined
  for (const name in fields) {
    const value = fields[name]!
    let partial = bucket.fields.get(name)
    if (partial === undefined) {
      partial = { count: 0, numbers: 0, sum: [] }
      bucket.fields.set(name, partial)
    }
    partial.count += 1
    if (typeof value === 'number') {
      partial.numbers += 1
      addExactly(partial.sum, value)
      if (!Number.isNaN(value)) {
        partial.min = Math.min(partial.min ?? value, value)
        partial.max = Math.max(partial.max ?? value, value)
      }
    }
    if (!edges) continue
    key ??= keyOf(row)
    const edge = { key, value }
    if (partial.first === undefined || comparePositions(key, partial.first.key) < 0) {
      partial.first = edge
    }
    if (partial.last === undefined || comparePositions(key, partial.last.key) > 0) {
      partial.last = edge
    }
  }
}

/** Merges `other` into `bucket`: the same bucket, summed up from other frames. */
export function mergeBucket(bucket: BucketPartial, other: BucketPartial): void {
  for (const [name, from] of other.fields) {
    const into = bucket.fields.get(name)
    if (into === undefined) bucket.fields.set(name, from)
    else mergeField(into, from)
  }
}

function mergeField(into: FieldPartial, from: FieldPartial): void {
  into.count += from.count
  into.numbers += from.numbers
  for (const part of from.sum) addExactly(into.sum, part)
  if (from.min !== undefined) into.min = Math.min(into.min ?? from.min, from.min)
  if (from.max !== undefined) into.max = Math.max(into.max ?? from.max, from.max)
  const { first, last } = from
  if (first && (!into.first || comparePositions(first.key, into.first.key) < 0)) into.first = first
  if (last && (!into.last || comparePositions(last.key, into.last.key) > 0)) into.last = last
}

/** The row of a merged bucket. */
export function bucketRow(bucket: BucketPartial, aggregates: readonly Aggregate[]): BucketRow {
  const names = [...bucket.fields.keys()].sort()
  const fields = names.map((name): [string, BucketRow['fields'][string]] => {
    const partial = bucket.fields.get(name)!
    const values = aggregates.flatMap((aggregate): [Aggregate, Value][] => {
      const value = valueOf(partial, aggregate)
      return value === undefined ? [] : [[aggregate, value]]
    })
    return [name, Object.fromEntries(values)]
  })
  return {
    timeUs: bucket.timeUs,
    ...(bucket.source !== '' && { source: bucket.source }),
    fields: Object.fromEntries(fields),
  }
}

function valueOf(partial: FieldPartial, aggregate: Aggregate): Value | undefined {
  if (aggregate === 'count') return partial.count
  if (aggregate === 'min') return partial.min
  if (aggregate === 'max') return partial.max
  if (aggregate === 'first') return partial.first?.value
  if (aggregate === 'last') return partial.last?.value
  if (partial.numbers === 0) return undefined
  const sum = roundedSum(partial.sum)
  return aggregate === 'sum' ? sum : sum / partial.numbers
}

function keyOf({ timeUs, source, epoch, sequence, index }: Row): RowKey {
  return { timeUs, source, epoch, sequence, index }
}
