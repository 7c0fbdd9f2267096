import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeClock } from '../mesh/fake-clock.ts'
import { HOUR_US, START_US, testRun } from './conformance/test-frames.ts'
import { openLevelStore, type LevelStore } from './level/level-store.ts'
import { Scrub } from './scrub.ts'

const DAY_MS = 86_400_000
let directory: string
let store: LevelStore

beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-scrub-'))
  store = await openLevelStore({ directory })
})
afterEach(async () => {
  await store.close()
  fs.rmSync(directory, { recursive: true, force: true })
})

/** Two buckets of two segments each, closed, so that all of them are finished. */
async function fill(): Promise<string[]> {
  await store.append(testRun(40))
  await store.append(testRun(40, { source: 'VH002', ingestUs: START_US + HOUR_US }))
  await store.close()
  store = await openLevelStore({ directory })
  const names = fs.readdirSync(directory, { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.seg')).map((name) => path.join(directory, name))
}

function scrubOf(bytesPerSecond: number): { clock: FakeClock; scrub: Scrub; told: string[] } {
  const clock = new FakeClock()
  const told: string[] = []
  const scrub = new Scrub({
    store,
    clock,
    periodMs: DAY_MS,
    bytesPerSecond,
    onDamage: () => told.push('damage'),
    onPass: async () => void told.push('pass'),
    onError: (error) => told.push(String(error)),
  })
  return { clock, scrub, told }
}

/** Advances the clock until it is so. Reading is real, unlike the time, and takes its own. */
async function until(clock: FakeClock, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!isSo() && performance.now() < deadline) {
    await clock.advance(100)
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(isSo(), 'in time').toBe(true)
}

test('scrub - finds every frame that rotted, and none that did not', async () => {
  const files = await fill()
  const bytes = fs.readFileSync(files[0]!)
  bytes[100]! ^= 1
  bytes[bytes.length - 3]! ^= 4
  fs.writeFileSync(files[0]!, bytes)
  const { clock, scrub, told } = scrubOf(1e9)
  scrub.start(clock.nowUs() - DAY_MS * 1000)
  await until(clock, () => told.includes('pass'))
  await scrub.stop()
  expect(told).toEqual(['damage', 'pass'])
  expect(scrub.counters.damagedFrames).toBe(2)
  expect(store.damaged()).toHaveLength(2)
  const size = files.reduce((sum, file) => sum + fs.statSync(file).size, 0)
  expect(scrub.counters.bytes).toBeGreaterThan(size * 0.9)
})

test('scrub - a segment that is gone is damage, all of it', async () => {
  const files = await fill()
  fs.rmSync(files[1]!)
  const { clock, scrub, told } = scrubOf(1e9)
  scrub.start(0)
  await until(clock, () => told.includes('pass'))
  await scrub.stop()
  expect(store.damaged()).toHaveLength(40)
})

test('scrub - one pass a period, and no faster than it may', async () => {
  const files = await fill()
  const size = files.reduce((sum, file) => sum + fs.statSync(file).size, 0)
  const { clock, scrub, told } = scrubOf(size / 10)
  const startedUs = clock.nowUs()
  scrub.start(startedUs - (DAY_MS - 3_600_000) * 1000)
  await clock.advance(3_500_000)
  expect(scrub.counters.bytes).toBe(0)
  await until(clock, () => told.includes('pass'))
  expect((scrub.lastPassUs - startedUs) / 1e6).toBeGreaterThan(3600 + 8)
  await clock.advance(DAY_MS / 2)
  expect(scrub.counters.passes).toBe(1)
  await scrub.stop()
})
