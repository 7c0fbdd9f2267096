// The two things a store gathers in a window: rows as they are, or buckets summed up.
import type { Cell } from '../frame-store.ts'
import { addRow, mergeBucket, type BucketPartial } from './aggregate.ts'
import type { Order } from './query.ts'
import { comparer, type Row } from './row.ts'
import { cutTime, type Gathering } from './window.ts'

export class RowGathering implements Gathering<Row> {
  private rows: Row[] = []
  private weights: number[] = []
  private readonly order: Order
  weight = 0

  constructor(order: Order) {
    this.order = order
  }

  add(row: Row, weight: number): void {
    this.rows.push(row)
    this.weights.push(weight)
    this.weight += weight
  }

  cut(): number {
    const compare = comparer(this.order)
    const weighed = this.rows.map((row, at) => ({
      row,
      timeUs: row.timeUs,
      weight: this.weights[at]!,
    }))
    weighed.sort((a, b) => compare(a.row, b.row))
    const lastUs = cutTime(weighed, this.weight / 2)
    const sign = this.order === 'asc' ? 1 : -1
    const kept = weighed.filter(({ timeUs }) => (timeUs - lastUs) * sign <= 0)
    this.rows = kept.map(({ row }) => row)
    this.weights = kept.map(({ weight }) => weight)
    this.weight = this.weights.reduce((sum, weight) => sum + weight, 0)
    return lastUs
  }

  drain(): Row[] {
    return this.rows.sort(comparer(this.order))
  }
}

export class BucketGathering implements Gathering<BucketPartial> {
  /** Begin of the bucket → source, or '' for the whole stream → partial. */
  private readonly buckets = new Map<number, Map<string, BucketPartial>>()
  private readonly order: Order
  private readonly everyUs: number
  private readonly bySource: boolean
  private readonly edges: boolean
  weight = 0

  constructor(query: {
    readonly order: Order
    readonly everyUs: number
    readonly by: 'source' | 'stream'
    readonly aggregates: readonly string[]
  }) {
    this.order = query.order
    this.everyUs = query.everyUs
    this.bySource = query.by === 'source'
    this.edges = query.aggregates.some((name) => name === 'first' || name === 'last')
  }

  add(row: Row): void {
    const bucket = this.bucketOf(row.timeUs, row.source)
    const before = bucket.fields.size
    addRow(bucket, row, this.edges)
    this.weight += (bucket.fields.size - before) * FIELD_WEIGHT
  }

  /** Adds what a cell within one bucket sums up. Not for queries that ask for first or last. */
  addCell(source: string, { timeUs, fields }: Cell): void {
    const bucket = this.bucketOf(timeUs, source)
    const before = bucket.fields.size
    mergeBucket(bucket, { ...bucket, fields })
    this.weight += (bucket.fields.size - before) * FIELD_WEIGHT
  }

  private bucketOf(sampleUs: number, sampleSource: string): BucketPartial {
    const timeUs = Math.floor(sampleUs / this.everyUs) * this.everyUs
    const source = this.bySource ? sampleSource : ''
    let sources = this.buckets.get(timeUs)
    if (sources === undefined) this.buckets.set(timeUs, (sources = new Map()))
    let bucket = sources.get(source)
    if (bucket === undefined) {
      bucket = { timeUs, source, fields: new Map() }
      sources.set(source, bucket)
      this.weight += BUCKET_WEIGHT
    }
    return bucket
  }

  cut(): number {
    const sign = this.order === 'asc' ? 1 : -1
    const weighed = [...this.buckets].map(([timeUs, sources]) => ({
      timeUs,
      weight: weightOf(sources),
    }))
    weighed.sort((a, b) => (a.timeUs - b.timeUs) * sign)
    const lastUs = cutTime(weighed, this.weight / 2)
    for (const { timeUs, weight } of weighed) {
      if ((timeUs - lastUs) * sign <= 0) continue
      this.buckets.delete(timeUs)
      this.weight -= weight
    }
    return lastUs
  }

  drain(): BucketPartial[] {
    return [...this.buckets.values()]
      .flatMap((sources) => [...sources.values()])
      .sort(comparer(this.order))
  }
}

/** In values of 16 bytes, as rows are weighed: a bucket with its map, a field with its partial. */
const BUCKET_WEIGHT = 16
const FIELD_WEIGHT = 16

function weightOf(sources: ReadonlyMap<string, BucketPartial>): number {
  let weight = 0
  for (const { fields } of sources.values()) weight += BUCKET_WEIGHT + fields.size * FIELD_WEIGHT
  return weight
}
