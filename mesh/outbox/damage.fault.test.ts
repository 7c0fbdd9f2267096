// One bit flipped anywhere in a log: what comes back is what was put in, or it does not come back.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Sample } from '../sample.ts'
import { OutboxLog, type Recovered } from './log.ts'
import {
  copySegments,
  frameOf,
  frozenClock,
  MESH,
  reading,
  seededRandom,
  segmentNames,
  tempDirectory,
} from './testing/support.ts'

const SEED = 20_260_101
const FLIPS = 250

const samples = new Map<number, Sample>()
const frames = new Map<number, Buffer>()
let root: string
let original: string
let intact: Recovered

async function openCopy(name: string): Promise<OutboxLog> {
  const options = { directory: join(root, name), meshId: MESH, clock: frozenClock }
  return OutboxLog.open({ ...options, segmentBytes: 2000 })
}

/** Segments with records of every type: live, dead, moved, and checkpoints that matter. */
async function writeLog(log: OutboxLog): Promise<void> {
  for (let i = 1; i <= 40; i++) {
    const first = log.appendSample('s', 'x', reading(i))
    samples.set(first, reading(i))
    samples.set(log.appendSample('s', 'y', reading(i + 1000)), reading(i + 1000))
    const bytes = frameOf(i, [i], (i * 37) % 300)
    const position = log.appendSeal(bytes, i % 8 === 0 ? [] : [first])
    frames.set(position, bytes)
    if (i % 3 !== 0) log.done(position)
    if (i % 5 !== 0) log.dropSamples([first + 1])
    if (i % 10 === 0) await log.sync()
  }
}

beforeAll(async () => {
  root = tempDirectory()
  original = join(root, 'original')
  const log = await openCopy('original')
  await writeLog(log)
  copySegments(original, join(root, 'intact'))
  const copy = await openCopy('intact')
  intact = copy.recovered
  await copy.close()
  await log.close()
  copySegments(join(root, 'intact'), original)
})

afterAll(() => rmSync(root, { recursive: true }))

/** Checks that all that was found is true, and returns how many of what an intact log holds is not. */
function missingFrom({ frames: foundFrames, samples: foundSamples }: Recovered): number {
  for (const { ordinal, sample } of foundSamples) {
    expect(isDeepStrictEqual(sample, samples.get(ordinal))).toBe(true)
  }
  for (const { position, frame } of foundFrames) {
    expect(frame.bytes.equals(frames.get(position)!)).toBe(true)
  }
  const ordinals = new Set(foundSamples.map(({ ordinal }) => ordinal))
  const positions = new Set(foundFrames.map(({ position }) => position))
  expect(ordinals.size).toBe(foundSamples.length)
  expect(positions.size).toBe(foundFrames.length)
  const lostSamples = intact.samples.filter(({ ordinal }) => !ordinals.has(ordinal))
  const lostFrames = intact.frames.filter(({ position }) => !positions.has(position))
  return lostSamples.length + lostFrames.length
}

test(`a flipped bit costs at most the record it is in, and is reported (seed ${SEED})`, async () => {
  expect(segmentNames(original).length).toBeGreaterThan(3)
  expect(intact.samples.length).toBeGreaterThan(5)
  expect(intact.frames.length).toBeGreaterThan(5)
  const random = seededRandom(SEED)
  let lost = 0
  for (let i = 0; i < FLIPS; i++) {
    copySegments(original, join(root, 'flipped'))
    const names = segmentNames(original)
    const path = join(root, 'flipped', names[Math.floor(random() * names.length)]!)
    const bytes = readFileSync(path)
    const at = Math.floor(random() * bytes.length)
    bytes[at]! ^= 1 << Math.floor(random() * 8)
    writeFileSync(path, bytes)
    const log = await openCopy('flipped')
    const { recovered } = log
    const missing = missingFrom(recovered)
    expect(missing).toBeLessThanOrEqual(1)
    expect(recovered.damagedRecords + recovered.tornBytes).toBeGreaterThan(0)
    lost += missing
    await log.close()
  }
  // Otherwise the flips would have hit nothing that counts.
  expect(lost).toBeGreaterThan(5)
})

test('random bytes in place of a segment are damage, not an exception', async () => {
  const random = seededRandom(SEED)
  for (const name of segmentNames(original)) {
    copySegments(original, join(root, 'noise'))
    const path = join(root, 'noise', name)
    const { length } = readFileSync(path)
    writeFileSync(path, Buffer.from(Array.from({ length }, () => Math.floor(random() * 256))))
    const log = await openCopy('noise')
    missingFrom(log.recovered)
    expect(log.recovered.damagedRecords + log.recovered.tornBytes).toBeGreaterThan(0)
    await log.close()
  }
})
