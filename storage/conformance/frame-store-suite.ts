// What every FrameStore does, whatever it keeps frames in. An implementation's test calls this once
// and then tests what is special to it.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { laneKey } from '../../mesh/index.ts'
import type { FrameRange, FrameStore, StoredFrame } from '../frame-store.ts'
import {
  collect,
  EPOCHS,
  HOUR_US,
  plain,
  scanFrames,
  seeded,
  START_US,
  testFrame,
  testRun,
} from './test-frames.ts'

export interface FrameStoreUnderTest {
  /** Opens the store in this directory, which outlives it: opening it again finds the frames. */
  open(directory: string): Promise<FrameStore>
}

const KEY = laneKey('VH001', 'vehicle.motion', EPOCHS[0]!)
const EVERYTHING = { stream: 'vehicle.motion', source: 'VH001', fromUs: 0, toUs: Infinity }

export function frameStoreSuite(name: string, tested: FrameStoreUnderTest): void {
  describe(`${name} keeps frames`, () => {
    let directory = ''
    let store: FrameStore

    beforeEach(async () => {
      directory = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-store-'))
      store = await tested.open(directory)
    })

    afterEach(async () => {
      await store.close()
      fs.rmSync(directory, { recursive: true })
    })

    async function reopen(): Promise<void> {
      await store.close()
      store = await tested.open(directory)
    }

    test('read - frames come back in order of sequence, byte for byte', async () => {
      const frames = testRun(30)
      await store.append(frames.slice(10))
      await store.append(frames.slice(0, 10).reverse())
      expect(plain(await collect(store.read(KEY, 1, 30)))).toEqual(plain(frames))
      expect(plain(await collect(store.read(KEY, 5, 7)))).toEqual(plain(frames.slice(4, 7)))
      await reopen()
      expect(plain(await collect(store.read(KEY, 1, Infinity)))).toEqual(plain(frames))
      expect(await collect(store.read(KEY, 31, 40))).toEqual([])
      expect(await collect(store.read(laneKey('no', 'such', EPOCHS[0]!), 1, 9))).toEqual([])
    })

    test('lane - knows runs, samples, newest ingest time, skips and the end', async () => {
      await store.append([
        ...testRun(3, { count: 4 }),
        testFrame({ sequence: 6, kind: 'skip', body: '{"runs":[[4,5,9]]}' }),
        testFrame({ sequence: 8, kind: 'end', ingestUs: START_US + 7 }),
      ])
      const check = (): void => {
        const lane = store.lane(KEY)!
        expect(lane).toMatchObject({
          source: 'VH001',
          stream: 'vehicle.motion',
          epoch: EPOCHS[0],
          key: KEY,
          ended: 8,
          lastIngestUs: START_US + 7,
          sampleCount: 12,
        })
        expect(lane.held.toRuns()).toEqual([1, 3, 6, 6, 8, 8])
        expect(lane.skipped.toRuns()).toEqual([4, 5])
        expect([...store.lanes()].map(({ key }) => key)).toEqual([KEY])
        expect([...store.lanesOf('vehicle.motion', 'VH001')]).toEqual([lane])
        expect([...store.lanesOf('vehicle.motion', 'VH00')]).toEqual([])
      }
      check()
      await reopen()
      check()
    })

    test('lane - a skip frame that says nothing sensible skips nothing', async () => {
      await store.append([
        testFrame({ sequence: 1, kind: 'skip', body: 'not json' }),
        testFrame({ sequence: 2, kind: 'skip', body: '{"runs":[[0,3,1],[5,4,1],"x",[7,7,1]]}' }),
      ])
      expect(store.lane(KEY)?.skipped.toRuns()).toEqual([7, 7])
    })

    test('scan - only data frames, by first event time', async () => {
      const late = testFrame({ sequence: 3, firstUs: START_US + 1 })
      const frames = [testFrame({ sequence: 1 }), testFrame({ sequence: 2 }), late]
      await store.append([...frames, testFrame({ sequence: 4, kind: 'end' })])
      expect(plain(await scanFrames(store, EVERYTHING))).toEqual(
        plain([late, frames[0]!, frames[1]!]),
      )
    })

    test('scan - agrees with a naive filter over disorder, overlapping spans, epochs and buckets', async () => {
      const random = seeded(20_260_101)
      const all = randomFrames(random, 600)
      for (let i = 0; i < all.length; i += 37) await store.append(all.slice(i, i + 37))
      for (const when of ['open', 'reopened']) {
        for (let i = 0; i < 60; i++) {
          const range = randomRange(random)
          const found = plain(await scanFrames(store, range))
          expect(found, `${when}, range ${JSON.stringify(range)}`).toEqual(naiveScan(all, range))
        }
        await reopen()
      }
    })

    test('crcOf - of held frames only', async () => {
      const frames = testRun(4)
      await store.append(frames)
      const check = async (): Promise<void> => {
        expect(await store.crcOf(KEY, 3)).toBe(frames[2]!.frame.crc)
        expect(await store.crcOf(KEY, 5)).toBeUndefined()
        expect(await store.crcOf(laneKey('no', 'such', EPOCHS[0]!), 1)).toBeUndefined()
      }
      await check()
      await reopen()
      await check()
    })

    test('version - grows with what is held', async () => {
      const before = store.version
      await store.append(testRun(2))
      expect(store.version).toBeGreaterThan(before)
    })

    test('stats - counts frames, samples and bytes', async () => {
      await store.append(testRun(5, { count: 3 }))
      const { diskBytes, ...counts } = await store.stats()
      expect(counts).toEqual({ frames: 5, samples: 15, buckets: 1 })
      expect(diskBytes).toBeGreaterThan(500)
    })

    test('append - says once that all is written, and before it is held for good', async () => {
      const frames = [
        ...testRun(2),
        ...testRun(2, { sequence: 3, ingestUs: START_US + HOUR_US }),
        testFrame({ sequence: 5, body: 'x'.repeat(100_000) }),
      ]
      const said: string[] = []
      await store.append(frames, () => said.push('written'))
      expect(said).toEqual(['written'])
      await store.append([], () => said.push('nothing to write'))
      expect(said).toEqual(['written', 'nothing to write'])
      expect(store.lane(KEY)?.held.toRuns()).toEqual([1, 5])
    })

    test('close - then nothing is taken any more', async () => {
      await store.close()
      await expect(store.append(testRun(1))).rejects.toMatchObject({ code: 'STORE_CLOSED' })
      store = await tested.open(directory)
      await store.append(testRun(1))
    })

    test('append - after reopening, lanes go on where they were', async () => {
      await store.append(testRun(5))
      await reopen()
      await store.append(testRun(5, { sequence: 6, ingestUs: START_US + HOUR_US }))
      await reopen()
      expect(store.lane(KEY)?.held.toRuns()).toEqual([1, 10])
      expect(plain(await collect(store.read(KEY, 1, 10)))).toEqual(
        plain([...testRun(5), ...testRun(5, { sequence: 6, ingestUs: START_US + HOUR_US })]),
      )
    })
  })
}

function randomFrames(random: () => number, count: number): StoredFrame[] {
  const next = new Map<string, number>()
  const frames = Array.from({ length: count }, () => {
    const source = `VH00${Math.floor(random() * 3)}`
    const epoch = EPOCHS[Math.floor(random() * 2)]!
    const sequence = (next.get(source + epoch) ?? 0) + 1
    next.set(source + epoch, sequence)
    const firstUs = START_US + Math.floor(random() * HOUR_US)
    const lastUs = firstUs + Math.floor(random() * random() * 600_000_000)
    const ingestUs = START_US + Math.floor(random() * 3 * HOUR_US)
    return testFrame({ source, epoch, sequence, firstUs, lastUs, ingestUs })
  })
  return frames.sort(() => random() - 0.5)
}

function randomRange(random: () => number): FrameRange {
  const fromUs = START_US + Math.floor((random() - 0.1) * HOUR_US)
  const toUs = fromUs + Math.floor(random() * random() * HOUR_US)
  return { stream: 'vehicle.motion', source: `VH00${Math.floor(random() * 4)}`, fromUs, toUs }
}

function naiveScan(all: readonly StoredFrame[], range: FrameRange): string[] {
  const found = all.filter(
    ({ frame }) =>
      frame.source === range.source && frame.firstUs < range.toUs && frame.lastUs >= range.fromUs,
  )
  found.sort(
    ({ frame: a }, { frame: b }) =>
      a.firstUs - b.firstUs || a.epoch.localeCompare(b.epoch) || a.sequence - b.sequence,
  )
  return plain(found)
}
