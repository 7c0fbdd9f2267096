// One bit flipped anywhere in a log: what comes back is what was put in, or it does not come back.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Sample } from '../sample.ts'
import { OutboxLog, type Recovered } from './log.ts'
import { RECORD_HEAD_BYTES } from './records.ts'
import { SEGMENT_MAGIC } from './segment.ts'
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
const FLIPS = 200
/** Hundreds of starts with real syncs: slow where the disk is busy. */
const TIMEOUT_MS = 120_000

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

test(
  `a flipped bit costs at most the record it is in, and is reported (seed ${SEED})`,
  async () => {
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
  },
  TIMEOUT_MS,
)

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

/** A crash with all seals of three lanes in the newest segments: a last one, an end, dead frames. */
async function writeLanes(name: string): Promise<void> {
  const log = await openCopy('lanes')
  for (let i = 1; i <= 20; i++) {
    for (const source of ['a', 'b', 'c']) {
      const kind = source === 'c' && i === 20 ? 'end' : 'data'
      const position = log.appendSeal(frameOf(i, [i], 40, { source, kind }), [])
      if (i % 2 === 0) log.done(position)
    }
    if (i % 7 === 0) await log.sync()
  }
  copySegments(join(root, 'lanes'), join(root, name))
  await log.close()
}

function lastRecordAt(bytes: Buffer): number {
  let last = SEGMENT_MAGIC.length
  for (let at = last; at < bytes.length;) {
    last = at
    at += RECORD_HEAD_BYTES + bytes.readUInt32LE(at + 4)
  }
  return last
}

/** Opens it and returns how many lanes are certain; none of these may be wrong. */
async function certainLanes(name: string): Promise<number> {
  const log = await openCopy(name)
  const certain = log.recovered.lanes.filter(({ uncertain }) => !uncertain)
  await log.close()
  for (const { source, lastSequence, ended } of certain) {
    expect([lastSequence, ended]).toEqual([20, source === 'c'])
  }
  return certain.length
}

test(
  `a flipped bit never gives a lane a wrong last sequence (seed ${SEED})`,
  async () => {
    await writeLanes('crashed')
    copySegments(join(root, 'crashed'), join(root, 'unharmed'))
    expect(await certainLanes('unharmed')).toBe(3)
    const names = segmentNames(join(root, 'crashed')).slice(-3)
    const random = seededRandom(SEED)
    const counts = new Set<number>()
    const flip = async (name: string, at: number, bit: number): Promise<void> => {
      copySegments(join(root, 'crashed'), join(root, 'flipped-lanes'))
      const path = join(root, 'flipped-lanes', name)
      const bytes = readFileSync(path)
      bytes[at]! ^= 1 << bit
      writeFileSync(path, bytes)
      counts.add(await certainLanes('flipped-lanes'))
    }
    for (let i = 0; i < 80; i++) {
      const name = names[Math.floor(random() * names.length)]!
      const { length } = readFileSync(join(root, 'crashed', name))
      await flip(name, Math.floor(random() * length), Math.floor(random() * 8))
    }
    // The length of the very last record: with another one it looks like a write cut short.
    const newest = readFileSync(join(root, 'crashed', names.at(-1)!))
    const last = lastRecordAt(newest)
    for (let bit = 0; bit < 32; bit++) await flip(names.at(-1)!, last + 4 + (bit >> 3), bit & 7)
    // Damage before the newest checkpoint changes nothing; after it, only the end of c is certain.
    expect(counts).toContain(3)
    expect(counts).toContain(1)
  },
  TIMEOUT_MS,
)
