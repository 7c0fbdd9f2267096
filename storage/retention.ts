// What retention takes away: whole buckets of ingest time, by age and by size, for each retention
// class of streams; and which of those that stay is to be compacted. Decided here, from names, times
// and sizes alone; storage/level/ does the work.

export interface RetentionClass {
  /** Its directory under `buckets/`. */
  readonly name: string
  /** Streams of the class: names, or beginnings of names that end in `*`. */
  readonly streams: readonly string[]
  /** What was taken in longer ago is removed. Infinity: nothing is. */
  readonly ageMs: number
  /** Beyond so many bytes on disk the oldest goes. Infinity: nothing does. */
  readonly bytesMax: number
}

/** As much of a bucket as is needed. */
export interface BucketFacts {
  readonly className: string
  /** Ingest time of its first possible frame, ms since the Unix epoch. */
  readonly startMs: number
  readonly bytes: number
  /** Since it was last written to in this life of the store; Infinity when it was not. */
  readonly idleMs: number
  /** How many of its files are not compacted. */
  readonly segments: number
}

/** Frames that were on their way at a bucket's end have come by then. */
const REST_MS = 60_000

/** The class of streams that no other names. */
export const DEFAULT_CLASS = 'default'

/** Which class a stream belongs to: the first that names it, in the order given. */
export function classFinder(classes: readonly RetentionClass[]): (stream: string) => string {
  const known = new Map<string, string>()
  return (stream) => {
    let name = known.get(stream)
    if (name === undefined) {
      name = classes.find(({ streams }) => streams.some((each) => covers(each, stream)))?.name
      name ??= DEFAULT_CLASS
      known.set(stream, name)
    }
    return name
  }
}

/** The buckets that are to go, oldest first. The newest of a class stays whatever its size. */
export function expiredBuckets(
  buckets: readonly BucketFacts[],
  { ageMs, bytesMax }: Pick<RetentionClass, 'ageMs' | 'bytesMax'>,
  bucketMs: number,
  nowMs: number,
): BucketFacts[] {
  const oldestFirst = buckets.toSorted((a, b) => a.startMs - b.startMs)
  let bytes = oldestFirst.reduce((sum, bucket) => sum + bucket.bytes, 0)
  const expired: BucketFacts[] = []
  for (const [i, bucket] of oldestFirst.entries()) {
    const isOld = bucket.startMs + bucketMs + ageMs <= nowMs
    const isTooMuch = bytes > bytesMax && i < oldestFirst.length - 1
    if (!isOld && !isTooMuch) break
    expired.push(bucket)
    bytes -= bucket.bytes
  }
  return expired
}

/**
 * The oldest bucket that is over, that nothing has come to for a while, and that is not compacted.
 * What is repaired late comes to old buckets too.
 */
export function restingBucket(
  buckets: readonly BucketFacts[],
  bucketMs: number,
  nowMs: number,
): BucketFacts | undefined {
  const resting = buckets.filter(({ startMs, idleMs, segments }) => {
    return segments > 0 && startMs + bucketMs <= nowMs && idleMs >= Math.min(bucketMs, REST_MS)
  })
  return resting.toSorted((a, b) => a.startMs - b.startMs)[0]
}

function covers(pattern: string, stream: string): boolean {
  return pattern.endsWith('*') ? stream.startsWith(pattern.slice(0, -1)) : stream === pattern
}
