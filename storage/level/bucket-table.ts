// Every bucket of a store, found by its class and start, or by the number that lanes know it by.
import type { Bucket } from './bucket.ts'

export class BucketTable {
  private readonly byPlace = new Map<string, Bucket>()
  private readonly byId = new Map<number, Bucket>()
  private lastId = 0

  get size(): number {
    return this.byId.size
  }

  at(className: string, startMs: number): Bucket | undefined {
    return this.byPlace.get(placeOf(className, startMs))
  }

  get(id: number): Bucket | undefined {
    return this.byId.get(id)
  }

  /** A number for a bucket about to be added; never given twice. */
  nextId(): number {
    this.lastId += 1
    return this.lastId
  }

  add(bucket: Bucket): void {
    this.byPlace.set(placeOf(bucket.className, bucket.startMs), bucket)
    this.byId.set(bucket.id, bucket)
  }

  delete(bucket: Bucket): void {
    this.byPlace.delete(placeOf(bucket.className, bucket.startMs))
    this.byId.delete(bucket.id)
  }

  values(): IterableIterator<Bucket> {
    return this.byId.values()
  }

  /** Those that frames are being added to. */
  warm(): Bucket[] {
    return [...this.byId.values()].filter(({ lanes }) => lanes !== undefined)
  }
}

function placeOf(className: string, startMs: number): string {
  return `${className}/${startMs}`
}
