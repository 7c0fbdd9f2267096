import { expect, test } from 'vitest'
import { classFinder, expiredBuckets, restingBucket, type BucketFacts } from './retention.ts'

const HOUR = 3_600_000
const buckets = (...bytes: number[]): BucketFacts[] =>
  bytes.map((each, i) => {
    return { className: 'default', startMs: i * HOUR, bytes: each, idleMs: 0, segments: 0 }
  })
const starts = (found: readonly BucketFacts[]): number[] =>
  found.map(({ startMs }) => startMs / HOUR)

test('classFinder - the first class that names the stream, exactly or by its beginning', () => {
  const any = { ageMs: Infinity, bytesMax: Infinity }
  const classOf = classFinder([
    { name: 'alerts', streams: ['vehicle.alert'], ...any },
    { name: 'fleet', streams: ['vehicle.*', 'truck'], ...any },
  ])
  const streams = ['vehicle.alert', 'vehicle.motion', 'truck', 'trucks', 'city.air']
  expect(streams.map(classOf)).toEqual(['alerts', 'fleet', 'fleet', 'default', 'default'])
})

test('expiredBuckets - by age: once the youngest frame it may hold is older', () => {
  const at = (nowMs: number): number[] =>
    starts(expiredBuckets(buckets(1, 1, 1), { ageMs: 2 * HOUR, bytesMax: Infinity }, HOUR, nowMs))
  expect(at(3 * HOUR - 1)).toEqual([])
  expect(at(3 * HOUR)).toEqual([0])
  expect(at(9 * HOUR)).toEqual([0, 1, 2])
})

test('expiredBuckets - by size: the oldest until the rest fits, never the newest', () => {
  const within = (bytesMax: number): number[] =>
    starts(expiredBuckets(buckets(5, 5, 5), { ageMs: Infinity, bytesMax }, HOUR, 0))
  expect(within(15)).toEqual([])
  expect(within(14)).toEqual([0])
  expect(within(5)).toEqual([0, 1])
  expect(within(1)).toEqual([0, 1])
})

test('restingBucket - the oldest that is over, rests and has segments', () => {
  const [first, second, third] = buckets(1, 1, 1).map((bucket) => {
    return { ...bucket, idleMs: 60_000, segments: 1 }
  }) as [BucketFacts, BucketFacts, BucketFacts]
  const at = (nowMs: number, ...some: BucketFacts[]): number | undefined =>
    restingBucket(some, HOUR, nowMs)?.startMs
  expect(at(HOUR - 1, first, second)).toBeUndefined()
  expect(at(HOUR, second, first)).toBe(0)
  expect(at(3 * HOUR, third, second, first)).toBe(0)
  expect(at(3 * HOUR, { ...first, segments: 0 }, second)).toBe(HOUR)
  expect(at(3 * HOUR, { ...first, idleMs: 59_999 }, second)).toBe(HOUR)
})
