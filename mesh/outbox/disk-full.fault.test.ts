// A disk that is full, for real: a tmpfs of 1 MiB. Needs the right to mount.
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FramePosition, OutboxLog } from './log.ts'
import {
  copySegments,
  frameOf,
  frozenClock,
  MESH,
  reading,
  seededRandom,
  tempDirectory,
} from './testing/support.ts'

let root: string
let small: string
let whyNot: string | undefined

beforeAll(() => {
  root = tempDirectory()
  small = join(root, 'small')
  mkdirSync(small)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small], { stdio: 'pipe' })
  } catch (error) {
    whyNot = `cannot mount a tmpfs: ${(error as Error).message.trim()}`
    console.warn(whyNot)
  }
})

afterAll(() => {
  if (whyNot === undefined) execFileSync('umount', [small])
  rmSync(root, { recursive: true })
})

const FULL = { code: 'MESH_OUTBOX_WRITE_FAILED', retryable: true }

function openIn(directory: string): Promise<OutboxLog> {
  return OutboxLog.open({ directory, meshId: MESH, clock: frozenClock, segmentBytes: 50_000 })
}

/** Calls until it throws, which must be for lack of room. */
function untilFull(append: (n: number) => void): void {
  let n = 0
  const fill = (): void => {
    for (; n < 100_000; n++) append(n)
  }
  expect(fill).toThrow(expect.objectContaining(FULL))
}

test('on a full disk an append is refused whole, and works again when frames are done', async (t) => {
  t.skip(whyNot !== undefined, whyNot)
  const directory = join(small, 'outbox')
  const log = await openIn(directory)
  const positions: FramePosition[] = []
  untilFull((n) => positions.push(log.appendSeal(frameOf(n + 1, [], 20_000), [])))
  const random = seededRandom(1)
  const accepted: number[] = []
  untilFull((n) => {
    const count = 1 + Math.floor(random() * 40)
    const sample = reading(n)
    const batch = Array.from({ length: count }, () => ({ stream: 's', source: 'x', sample }))
    const first = log.appendSamples(batch)
    batch.forEach((_, i) => accepted.push(first + i))
  })
  // kill -9 now: exactly what was accepted is there.
  copySegments(directory, join(root, 'copy'))
  const copy = await openIn(join(root, 'copy'))
  expect(copy.recovered.samples.map(({ ordinal }) => ordinal)).toEqual(accepted)
  expect(copy.recovered.frames.map(({ position }) => position)).toEqual(positions)
  expect(copy.recovered).toMatchObject({ tornBytes: 0, damagedRecords: 0 })
  await copy.close()
  for (const position of positions.slice(0, positions.length / 2)) log.done(position)
  await log.sync()
  expect(log.appendSample('s', 'x', reading(1))).toBe(accepted.length + 1)
  await log.close()
  rmSync(directory, { recursive: true })
})

test('a log opens on a full disk, so that the backlog can drain and make room', async (t) => {
  t.skip(whyNot !== undefined, whyNot)
  const directory = join(small, 'outbox')
  const log = await openIn(directory)
  const positions: FramePosition[] = []
  log.appendSample('s', 'x', reading(1))
  for (let n = 1; n <= 20; n++) positions.push(log.appendSeal(frameOf(n, [], 20_000), []))
  await log.close()
  const filler = join(small, 'filler')
  untilFull((n) => {
    try {
      writeFileSync(filler, Buffer.alloc(n % 2 === 0 ? 4096 : 1), { flag: 'a' })
    } catch {
      throw Object.assign(new Error('full'), FULL)
    }
  })
  const next = await openIn(directory)
  expect(next.recovered.frames.map(({ position }) => position)).toEqual(positions)
  expect(() => next.appendSample('s', 'x', reading(2))).toThrow(expect.objectContaining(FULL))
  const [sample] = next.recovered.samples
  expect(next.read(positions[5]!).equals(frameOf(6, [], 20_000))).toBe(true)
  next.dropSamples([sample!.ordinal])
  for (const position of positions.slice(0, 10)) next.done(position)
  await next.sync()
  await next.sync()
  expect(next.appendSample('s', 'x', reading(2))).toBe(2)
  await next.close()
  const last = await openIn(directory)
  expect(last.recovered.frames.map(({ position }) => position)).toEqual(positions.slice(10))
  expect(last.recovered.samples.map(({ ordinal }) => ordinal)).toEqual([2])
  await last.close()
})
