import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { IntervalSet, laneKey, systemClock } from '../../mesh/index.ts'
import {
  collect,
  EPOCHS,
  HOUR_US,
  START_US,
  testFrame,
  testRun,
} from '../conformance/test-frames.ts'
import { Latest } from '../latest.ts'
import { Writer } from '../writer.ts'
import { GoneRecords } from './gone-records.ts'
import { openLevelStore, type LevelStore, type LevelStoreOptions } from './level-store.ts'

const KEY = laneKey('VH001', 'vehicle.motion', EPOCHS[0]!)
const FIRST_MS = START_US / 1000
const LANE = { source: 'VH001', stream: 'vehicle.motion', epoch: EPOCHS[0]! }
let directory: string
let store: LevelStore

beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-retention-'))
  store = await openLevelStore({ directory })
})
afterEach(async () => {
  await store.close()
  fs.rmSync(directory, { recursive: true, force: true })
})

async function reopen(options: Partial<LevelStoreOptions> = {}): Promise<void> {
  await store.close()
  store = await openLevelStore({ directory, ...options })
}

const hour = (n: number) => ({ ingestUs: START_US + n * HOUR_US })

test('trim - the frames are gone, their names are known as trimmed, over a restart too', async () => {
  await store.append([
    ...testRun(3),
    testFrame({ kind: 'skip', sequence: 4, body: '{"runs":[[9,9,1]]}' }),
    testFrame({ kind: 'end', sequence: 5 }),
    testFrame({ sequence: 6, ...hour(1) }),
  ])
  expect(await store.trim('default', FIRST_MS)).toBe(true)
  expect(fs.existsSync(path.join(directory, 'buckets/default', String(FIRST_MS)))).toBe(false)
  for (let life = 1; life <= 2; life++) {
    const lane = store.lane(KEY)!
    expect(lane.held.toRuns()).toEqual([6, 6])
    expect(lane.trimmed.toRuns()).toEqual([1, 5])
    expect(lane.skipped.toRuns()).toEqual([9, 9])
    expect(lane.ended).toBe(5)
    expect(await store.stats()).toMatchObject({ frames: 1, samples: 1, buckets: 1 })
    expect(await collect(store.read(KEY, 1, 9))).toHaveLength(1)
    expect(store.damaged()).toEqual([])
    await reopen()
  }
})

test('trim - a frame that comes again is a duplicate, not stored', async () => {
  await store.append(testRun(2))
  await store.trim('default', FIRST_MS)
  const outcomes: string[] = []
  const writer = new Writer<string>({
    store,
    clock: systemClock,
    onCommitted: (results) => outcomes.push(...results.map(({ outcome }) => outcome)),
  })
  for (const { frame } of testRun(3)) writer.offer(frame, 'somebody')
  await writer.close()
  expect(outcomes).toEqual(['duplicate', 'duplicate', 'stored'])
  expect(store.lane(KEY)!.held.toRuns()).toEqual([3, 3])
})

test('trim - a reader under way gets what is left, and nothing counts as damaged', async () => {
  await store.append([...testRun(40), ...testRun(5, { sequence: 41, ...hour(1) })])
  const sequences: number[] = []
  const range = { stream: 'vehicle.motion', source: 'VH001', fromUs: 0, toUs: Infinity }
  for await (const item of store.scan(range)) {
    if (!('frame' in item)) throw new Error('nothing is compacted')
    if (sequences.push(item.frame.sequence) === 1) await store.trim('default', FIRST_MS)
  }
  expect(sequences.slice(-5)).toEqual([41, 42, 43, 44, 45])
  expect(store.damaged()).toEqual([])
  expect(fs.readdirSync(path.join(directory, 'buckets/default'))).toHaveLength(1)
})

test('trim - damaged frames of the bucket are trimmed with it', async () => {
  await store.append(testRun(3))
  await reopen()
  const segment = path.join(directory, 'buckets/default', String(FIRST_MS), '000001.seg')
  const bytes = fs.readFileSync(segment)
  bytes[bytes.length - 1]! ^= 1
  fs.writeFileSync(segment, bytes)
  expect(await collect(store.read(KEY, 1, 3))).toHaveLength(2)
  expect(store.damaged()).toHaveLength(1)
  await store.trim('default', FIRST_MS)
  expect(store.damaged()).toEqual([])
  expect(store.lane(KEY)!.trimmed.toRuns()).toEqual([1, 3])
})

test('trim - a stop between the record and the removal: held still, and trimmed at the next look', async () => {
  await store.append(testRun(3))
  const bucket = path.join(directory, 'buckets/default', String(FIRST_MS))
  await store.close()
  fs.cpSync(bucket, `${bucket}.kept`, { recursive: true })
  store = await openLevelStore({ directory })
  await store.trim('default', FIRST_MS)
  await store.close()
  fs.renameSync(`${bucket}.kept`, bucket)
  fs.mkdirSync(`${bucket}.removed`)
  store = await openLevelStore({ directory })
  expect(fs.existsSync(`${bucket}.removed`)).toBe(false)
  expect(store.lane(KEY)!.held.toRuns()).toEqual([1, 3])
  expect(store.lane(KEY)!.trimmed.isEmpty).toBe(true)
  await store.trim('default', FIRST_MS)
  expect(store.lane(KEY)!.trimmed.toRuns()).toEqual([1, 3])
})

test('classes - each has its own buckets, and a stream that changed its class is found in both', async () => {
  const byName = (stream: string): string => (stream === 'alerts' ? 'alerts' : 'default')
  await store.append(testRun(2, { stream: 'alerts' }))
  await reopen({ classOf: byName })
  await store.append([...testRun(2, { stream: 'alerts', sequence: 3 }), ...testRun(1)])
  await reopen({ classOf: byName })
  const facts = await store.bucketFacts()
  expect(facts.map(({ className }) => className).sort()).toEqual(['alerts', 'default'])
  const key = laneKey('VH001', 'alerts', EPOCHS[0]!)
  expect(await collect(store.read(key, 1, 4))).toHaveLength(4)
  await store.trim('default', FIRST_MS)
  expect(store.lane(key)!.held.toRuns()).toEqual([3, 4])
  expect(store.lane(key)!.trimmed.toRuns()).toEqual([1, 2])
})

test('learnGone - known over a restart, beaten by what is held, forgotten in time', async () => {
  await store.append(testRun(2))
  const trimmed = new IntervalSet([1, 8])
  const skipped = new IntervalSet([11, 12])
  await store.learnGone(LANE, { trimmed, skipped, ended: 13, lastIngestUs: START_US + 5 })
  for (let life = 1; life <= 2; life++) {
    const lane = store.lane(KEY)!
    expect(lane.trimmed.toRuns()).toEqual([3, 8])
    expect(lane.skipped.toRuns()).toEqual([11, 12])
    expect([lane.ended, lane.lastIngestUs]).toEqual([13, START_US + 5])
    await reopen()
  }
  expect(await store.forgetLanes(Infinity)).toBe(0)
  await store.trim('default', FIRST_MS)
  // What was old when it was removed is remembered as long as anything else.
  const nowUs = systemClock.nowUs()
  expect(await store.forgetLanes(nowUs - 60_000_000)).toBe(0)
  await reopen()
  expect(await store.forgetLanes(nowUs - 60_000_000)).toBe(0)
  expect(await store.forgetLanes(nowUs + 1)).toBe(1)
  expect([...store.lanes(), ...store.lanesOf('vehicle.motion', 'VH001')]).toEqual([])
  await reopen()
  expect([...store.lanes()]).toEqual([])
})

test('latest - what was removed is forgotten, and the newest of the rest takes its place', async () => {
  const latest = new Latest({
    newest: ({ firstUs }) => ({ index: 0, sample: { timeUs: firstUs, fields: {} } }),
  })
  const other = testFrame({ source: 'VH002' })
  const late = testFrame({ sequence: 2, firstUs: START_US, ...hour(1) })
  const frames = [testFrame({ firstUs: START_US + 9_000 }), late, other]
  await store.append(frames)
  latest.update(frames)
  await store.trim('default', FIRST_MS)
  await latest.forget(store)
  expect(latest.get('vehicle.motion', 'VH001')?.sequence).toBe(2)
  expect(latest.get('vehicle.motion', 'VH002')).toBeUndefined()
})

test('a damaged record of what is gone is passed over', async () => {
  await store.append(testRun(2))
  await store.trim('default', FIRST_MS)
  await store.close()
  const gone = path.join(directory, 'gone')
  const log = fs.readdirSync(gone).find((name) => name.endsWith('.log') || name.endsWith('.ldb'))!
  const bytes = fs.readFileSync(path.join(gone, log))
  bytes[bytes.length - 8]! ^= 1
  fs.writeFileSync(path.join(gone, log), bytes)
  store = await openLevelStore({ directory })
  expect(store.lane(KEY)?.trimmed.isEmpty ?? true).toBe(true)
})

test('trim - what comes after its names were noted stays', async () => {
  await reopen({ warmBucketsMax: 1 })
  await store.append(testRun(3))
  const put = vi.spyOn(GoneRecords.prototype, 'put')
  put.mockImplementationOnce(async () => {
    await store.append(testRun(1, { sequence: 4 }))
    // With two buckets more than stay warm the first is cold again.
    for (const n of [1, 2]) await store.append(testRun(1, { sequence: 4 + n, ...hour(n) }))
  })
  try {
    expect(await store.trim('default', FIRST_MS)).toBe(false)
  } finally {
    put.mockRestore()
  }
  expect(store.lane(KEY)!.held.toRuns()).toEqual([1, 6])
  expect(await store.trim('default', FIRST_MS)).toBe(true)
  expect(store.lane(KEY)!.held.toRuns()).toEqual([5, 6])
})
