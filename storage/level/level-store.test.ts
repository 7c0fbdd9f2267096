import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { laneKey } from '../../mesh/index.ts'
import { frameStoreSuite } from '../conformance/frame-store-suite.ts'
import {
  collect,
  EPOCHS,
  HOUR_US,
  plain,
  scanFrames,
  START_US,
  testFrame,
  testRun,
} from '../conformance/test-frames.ts'
import type { StoredFrame } from '../frame-store.ts'
import { filesOf, flip, snapshot } from './test-disk.ts'
import { openLevelStore, type LevelStore, type LevelStoreOptions } from './level-store.ts'

frameStoreSuite('level store', { open: (directory) => openLevelStore({ directory }) })
frameStoreSuite('level store of many tiny segments', {
  open: (directory) =>
    openLevelStore({ directory, segmentBytesMax: 1000, segmentFramesMax: 8, warmBucketsMax: 1 }),
})

const KEY = laneKey('VH001', 'vehicle.motion', EPOCHS[0]!)
const FIRST_BUCKET = `buckets/default/${START_US / 1000}`

const opened: { store: LevelStore; directory: string }[] = []

async function openIn(
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-level-')),
  options: Partial<LevelStoreOptions> = {},
): Promise<{ store: LevelStore; directory: string }> {
  const store = await openLevelStore({ directory, ...options })
  opened.push({ store, directory })
  return { store, directory }
}

async function readAll(store: LevelStore): Promise<string[]> {
  return plain(await collect(store.read(KEY, 1, Infinity)))
}

afterEach(async () => {
  for (const { store, directory } of opened.splice(0)) {
    await store.close().catch(() => undefined)
    fs.rmSync(directory, { recursive: true, force: true })
  }
})

describe('level store between write and sync', () => {
  test.each([
    ['small batch, written at once', 10],
    ['large batch, written behind the scenes', 100_000],
  ])('%s - its bytes are in the file, and it is not held yet', async (_, bodyBytes) => {
    const { store, directory } = await openIn()
    const frames = testRun(3, { body: 'x'.repeat(bodyBytes) })
    let sync = (): void => undefined
    const fdatasync = vi.spyOn(fs, 'fdatasync').mockImplementation((_fd, done) => {
      sync = () => done(null)
    })
    try {
      const written = Promise.withResolvers<void>()
      const order: string[] = []
      const appended = store.append(frames, written.resolve).then(() => order.push('appended'))
      await written.promise
      expect(fdatasync).toHaveBeenCalledTimes(1)
      expect(store.lane(KEY)).toBeUndefined()
      // Whatever becomes of this process, the next one finds it.
      fdatasync.mockRestore()
      const next = await openIn(snapshot(directory))
      expect(await readAll(next.store)).toEqual(plain(frames))
      order.push('looked')
      sync()
      await appended
      expect(order).toEqual(['looked', 'appended'])
      expect(store.lane(KEY)?.held.toRuns()).toEqual([1, 3])
    } finally {
      fdatasync.mockRestore()
    }
  })

  test('what cannot be written is never said to be', async () => {
    const { store } = await openIn()
    const write = vi.spyOn(fs, 'writeSync').mockImplementation(() => {
      throw Object.assign(new Error('EIO'), { code: 'EIO' })
    })
    try {
      const onWritten = vi.fn<() => void>()
      await expect(store.append(testRun(2), onWritten)).rejects.toMatchObject({
        code: 'STORE_WRITE_FAILED',
      })
      expect(onWritten).not.toHaveBeenCalled()
    } finally {
      write.mockRestore()
    }
  })
})

describe('level store after an unclean stop', () => {
  test('what was appended is there again, in every bucket', async () => {
    const { store, directory } = await openIn()
    const frames = [...testRun(50), ...testRun(50, { sequence: 51, ingestUs: START_US + HOUR_US })]
    await store.append(frames.slice(0, 70))
    await store.append(frames.slice(70))
    const crashed = await openIn(snapshot(directory))
    expect(crashed.store.lane(KEY)?.held.toRuns()).toEqual([1, 100])
    expect(await readAll(crashed.store)).toEqual(plain(frames))
    expect(crashed.store.lane(KEY)?.lastIngestUs).toBe(START_US + HOUR_US)
  })

  test('skips and the end are found in segments with and without an index', async () => {
    const { store, directory } = await openIn(undefined, { segmentFramesMax: 2 })
    await store.append([
      testFrame({ kind: 'skip', body: '{"runs":[[7,9,1]]}' }),
      testFrame({ sequence: 2 }),
    ])
    await store.append([testFrame({ sequence: 3, kind: 'end' })])
    await store.append([testFrame({ source: 'other' })])
    const { store: crashed } = await openIn(snapshot(directory))
    expect(crashed.lane(KEY)?.skipped.toRuns()).toEqual([7, 9])
    expect(crashed.lane(KEY)?.ended).toBe(3)
  })

  test('a torn end is no frame, and later frames do not follow it', async () => {
    const { store, directory } = await openIn()
    await store.append(testRun(10))
    const torn = snapshot(directory)
    const [segment] = filesOf(torn, '.seg')
    fs.truncateSync(segment!, fs.statSync(segment!).size - 7)
    fs.appendFileSync(segment!, Buffer.alloc(5000))
    const { store: crashed } = await openIn(torn)
    expect(crashed.lane(KEY)?.held.toRuns()).toEqual([1, 9])
    await crashed.append(testRun(3, { sequence: 10 }))
    expect((await readAll(crashed)).length).toBe(12)
    expect(filesOf(torn, '.seg').length).toBe(2)
  })

  test('a segment in which nothing was written is removed', async () => {
    const { store, directory } = await openIn()
    await store.append(testRun(1))
    const copy = snapshot(directory)
    fs.writeFileSync(path.join(copy, FIRST_BUCKET, '000002.seg'), '')
    const { store: crashed } = await openIn(copy)
    expect(crashed.lane(KEY)?.held.toRuns()).toEqual([1, 1])
    expect(filesOf(copy, '.seg').length).toBe(1)
  })
})

describe('level store and bit rot', () => {
  test('any flipped bit of a segment never serves a wrong frame, and costs one frame at most', async () => {
    const { store, directory } = await openIn()
    const frames = testRun(20)
    await store.append(frames)
    const whole = plain(frames)
    const segment = filesOf(directory, '.seg')[0]!
    const size = fs.statSync(segment).size
    for (let at = 16; at < size; at += 61) {
      const copy = snapshot(directory)
      flip(filesOf(copy, '.seg')[0]!, at)
      const { store: crashed } = await openIn(copy)
      const found = await readAll(crashed)
      expect(found.length, `flip at ${at}`).toBe(19)
      expect(whole).toEqual(expect.arrayContaining(found))
      expect(crashed.lane(KEY)?.held.size).toBe(19)
      await crashed.close()
    }
  })

  test('after a clean stop damage is found on reading, listed, remembered, and can be repaired', async () => {
    const first = await openIn()
    const frames = testRun(20)
    await first.store.append(frames)
    await first.store.close()
    const segment = filesOf(first.directory, '.seg')[0]!
    flip(segment, fs.readFileSync(segment).indexOf(frames[11]!.frame.body) + 3)

    const second = await openIn(first.directory)
    const before = second.store.version
    expect((await readAll(second.store)).length).toBe(19)
    expect(second.store.damaged()).toMatchObject([{ source: 'VH001', sequence: 12, reason: 'crc' }])
    expect(second.store.lane(KEY)?.held.toRuns()).toEqual([1, 11, 13, 20])
    expect(second.store.lane(KEY)?.sampleCount).toBe(19)
    expect(second.store.version).toBeGreaterThan(before)
    expect(await second.store.crcOf(KEY, 12)).toBeUndefined()
    await second.store.close()

    const third = await openIn(first.directory)
    expect(third.store.lane(KEY)?.held.toRuns()).toEqual([1, 11, 13, 20])
    expect(third.store.damaged()).toMatchObject([{ sequence: 12 }])
    await third.store.append([frames[11]!])
    expect(third.store.damaged()).toEqual([])
    expect(await readAll(third.store)).toEqual(plain(frames))
    const crashed = await openIn(snapshot(first.directory))
    expect(await readAll(crashed.store)).toEqual(plain(frames))
    await third.store.close()

    const fourth = await openIn(first.directory)
    expect(await readAll(fourth.store)).toEqual(plain(frames))
    expect(fourth.store.damaged()).toEqual([])
  })

  test.each([['.log'], ['.ldb'], ['MANIFEST-000004'], ['CURRENT']])(
    'a flipped bit in the index (%s) loses nothing: the segments have it all',
    async (suffix) => {
      const { store, directory } = await openIn()
      const frames = testRun(40)
      await store.append(frames)
      await store.close()
      // Opening moves LevelDB's log into a table.
      if (suffix !== '.log') await (await openLevelStore({ directory })).close()
      const index = path.join(directory, FIRST_BUCKET, 'index')
      const target = filesOf(index, suffix)[0]!
      const size = fs.statSync(target).size
      for (let at = 3; at < size; at += Math.max(1, Math.floor(size / 25))) {
        const copy = snapshot(directory)
        flip(path.join(copy, path.relative(directory, target)), at)
        const { store: opened } = await openIn(copy)
        expect(await readAll(opened), `flip at ${at} of ${size}`).toEqual(plain(frames))
        const range = { stream: 'vehicle.motion', source: 'VH001', fromUs: 0, toUs: Infinity }
        expect(plain(await scanFrames(opened, range))).toEqual(plain(frames))
        await opened.close()
      }
    },
  )

  test('a removed index is rebuilt, a removed segment is a gap with names', async () => {
    const { store, directory } = await openIn(undefined, { segmentFramesMax: 10 })
    const frames = testRun(30)
    for (let i = 0; i < 30; i += 10) await store.append(frames.slice(i, i + 10))
    await store.close()
    const copy = snapshot(directory)
    fs.rmSync(path.join(copy, FIRST_BUCKET, 'index'), { recursive: true })
    expect(await readAll((await openIn(copy)).store)).toEqual(plain(frames))
    fs.unlinkSync(path.join(directory, FIRST_BUCKET, '000002.seg'))
    const { store: opened } = await openIn(directory)
    expect(opened.lane(KEY)?.held.toRuns()).toEqual([1, 10, 21, 30])
    expect(opened.damaged().map(({ sequence }) => sequence)).toEqual(
      frames.slice(10, 20).map(({ frame }) => frame.sequence),
    )
  })
})

describe('level store', () => {
  test('one process at a time, and none is kept out by one that is gone', async () => {
    const { store, directory } = await openIn()
    await expect(openLevelStore({ directory })).rejects.toMatchObject({ code: 'STORE_IN_USE' })
    await store.close()
    await openIn(directory)
  })

  test('repair brings old frames into their old buckets', async () => {
    const { store, directory } = await openIn(undefined, { warmBucketsMax: 1 })
    // More buckets than may be open at once.
    const hours = Array.from({ length: 12 }, (_, hour) => hour)
    const frameOf = (hour: number, sequence: number): StoredFrame =>
      testFrame({ sequence, ingestUs: START_US + hour * HOUR_US + 5 })
    for (const hour of hours) await store.append([frameOf(hour, hour + 1)])
    await store.append(hours.toReversed().map((hour) => frameOf(hour, hour + 21)))
    const all = [...hours.map((h) => frameOf(h, h + 1)), ...hours.map((h) => frameOf(h, h + 21))]
    expect(await readAll(store)).toEqual(plain(all))
    expect(await readAll((await openIn(snapshot(directory))).store)).toEqual(plain(all))
    await store.close()
    const { store: again } = await openIn(directory)
    expect(await readAll(again)).toEqual(plain(all))
    expect((await again.stats()).buckets).toBe(12)
  })

  test('a lane with more frames in a segment than one index record takes', async () => {
    const { store, directory } = await openIn()
    const frames = testRun(3000)
    await store.append(frames)
    await store.close()
    const { store: again } = await openIn(directory)
    expect(await readAll(again)).toEqual(plain(frames))
    expect(await again.crcsOf(KEY, [1, 2999, 3001])).toEqual(
      new Map([
        [1, frames[0]!.frame.crc],
        [2999, frames[2998]!.frame.crc],
      ]),
    )
  })

  test('reads go on while segments end and move to the index', async () => {
    const { store } = await openIn(undefined, { segmentFramesMax: 16 })
    const frames = testRun(800)
    await store.append(frames.slice(0, 400))
    let appended = 400
    let seen = 0
    for await (const { frame } of store.read(KEY, 1, 400)) {
      seen += 1
      expect(frame.sequence).toBe(seen)
      if (seen % 10 !== 0) continue
      await store.append(frames.slice(appended, appended + 10))
      appended += 10
    }
    expect(seen).toBe(400)
    expect(await readAll(store)).toEqual(plain(frames))
  })

  test('newest - by last event time, of data frames only', async () => {
    const { store, directory } = await openIn()
    await store.append([
      testFrame({ sequence: 1, firstUs: START_US + 50, lastUs: START_US + 90 }),
      testFrame({ sequence: 2, firstUs: START_US + 80, lastUs: START_US + 80 }),
      testFrame({ sequence: 3, kind: 'end', firstUs: START_US + 900 }),
    ])
    for (const each of [store, (await openIn(snapshot(directory))).store]) {
      expect([...each.newest()]).toMatchObject([{ lastUs: START_US + 90, sequence: 1 }])
    }
  })
})
