import { expect, test } from 'vitest'
import { FakeClock } from '../mesh/fake-clock.ts'
import type { BucketFacts, RetentionClass } from './retention.ts'
import { LANE_MEMORY_US, Upkeep } from './upkeep.ts'

const HOUR_MS = 3_600_000
const CLASSES: RetentionClass[] = [
  { name: 'alerts', streams: ['alerts'], ageMs: 5 * HOUR_MS, bytesMax: Infinity },
  { name: 'default', streams: ['*'], ageMs: HOUR_MS, bytesMax: Infinity },
]

test('upkeep - each class by its own limits, buckets of a class that is no more by the default', async () => {
  const clock = new FakeClock()
  const beginMs = clock.nowUs() / 1000
  const at = (className: string, hour: number): BucketFacts => {
    return { className, startMs: beginMs + hour * HOUR_MS, bytes: 7, idleMs: 0, segments: 0 }
  }
  let buckets = [at('alerts', 0), at('default', 0), at('default', 4), at('former', 0)]
  const told: string[] = []
  let forgottenUs = 0
  const upkeep = new Upkeep({
    store: {
      bucketFacts: async () => buckets,
      trim: async (className, startMs) => {
        told.push(`${className} ${(startMs - beginMs) / HOUR_MS}`)
        buckets = buckets.filter((each) => each.className !== className || each.startMs !== startMs)
        return true
      },
      compact: async () => false,
      forgetLanes: async (beforeUs) => (forgottenUs = beforeUs),
    },
    clock,
    bucketMs: HOUR_MS,
    classes: CLASSES,
    compacts: true,
    onTrimmed: async () => void told.push('told'),
    onError: (error) => told.push(String(error)),
  })
  upkeep.start()
  await clock.advance(2 * HOUR_MS - 60_000)
  expect(told).toEqual([])
  await clock.advance(120_000)
  expect(told).toEqual(['default 0', 'former 0', 'told'])
  expect(upkeep.counters).toMatchObject({ trimmedBuckets: 2, trimmedBytes: 14 })
  expect(clock.nowUs() - forgottenUs - LANE_MEMORY_US).toBeLessThan(60_000_000)
  await clock.advance(4 * HOUR_MS)
  await upkeep.stop()
  const later = told.slice(3).filter((each) => each !== 'told')
  expect(later.toSorted()).toEqual(['alerts 0', 'default 4'])
})

test('upkeep - a round that fails says so, and the next one comes', async () => {
  const clock = new FakeClock()
  const errors: string[] = []
  const upkeep = new Upkeep({
    store: {
      bucketFacts: () => Promise.reject(new Error('no disk')),
      trim: async () => false,
      compact: async () => false,
      forgetLanes: async () => 0,
    },
    clock,
    bucketMs: HOUR_MS,
    classes: CLASSES,
    compacts: true,
    onTrimmed: async () => undefined,
    onError: (error) => errors.push((error as Error).message),
  })
  upkeep.start()
  await clock.advance(15_000)
  await upkeep.stop()
  await clock.advance(60_000)
  expect(errors).toEqual(['no disk', 'no disk'])
})

test('upkeep - buckets that are over are compacted one after another; what fails is left for a while', async () => {
  const clock = new FakeClock()
  const beginMs = clock.nowUs() / 1000
  const buckets = [0, 1, 2].map((hour) => {
    const startMs = beginMs + hour * HOUR_MS
    return { className: 'default', startMs, bytes: 90, idleMs: Infinity, segments: 2 }
  })
  const told: string[] = []
  let isFull = false
  const upkeep = new Upkeep({
    store: {
      bucketFacts: async () => buckets.map((bucket) => ({ ...bucket })),
      trim: async () => false,
      compact: async (className, startMs) => {
        if (isFull) throw new Error('disk full')
        const bucket = buckets.find((each) => each.startMs === startMs)!
        Object.assign(bucket, { bytes: 30, segments: 0 })
        told.push(`${className} ${(startMs - beginMs) / HOUR_MS}`)
        return true
      },
      forgetLanes: async () => 0,
    },
    clock,
    bucketMs: HOUR_MS,
    classes: [{ name: 'default', streams: ['*'], ageMs: Infinity, bytesMax: Infinity }],
    compacts: true,
    onTrimmed: async () => undefined,
    onError: (error) => told.push((error as Error).message),
  })
  upkeep.start()
  await clock.advance(2 * HOUR_MS + 15_000)
  expect(told).toEqual(['default 0', 'default 1'])
  expect(upkeep.counters).toMatchObject({
    compactedBuckets: 2,
    compactedFromBytes: 180,
    compactedToBytes: 60,
  })
  isFull = true
  await clock.advance(HOUR_MS + 60_000)
  expect(told.slice(2)).toEqual(['disk full'])
  isFull = false
  await clock.advance(300_000)
  expect(told.slice(3)).toEqual(['default 2'])
  await upkeep.stop()
})
