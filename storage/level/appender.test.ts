import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { systemClock, type Clock } from '../../mesh/index.ts'
import { Appender } from './appender.ts'

const SMALL = Buffer.alloc(200, 1)
const LARGE = Buffer.alloc(100_000, 2)

let file: string
let fd: number
/** How long each sync seems to take. */
let syncMs: number

/** Moves with each look at it: before a sync and after. */
function steppingClock(): Clock & { pass(ms: number): void } {
  let nowMs = 0
  return {
    ...systemClock,
    monotonicMs: () => (nowMs += syncMs),
    pass: (ms) => (nowMs += ms),
  }
}

beforeEach(() => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-appender-'))
  file = path.join(directory, 'segment')
  fd = fs.openSync(file, 'w')
  syncMs = 0.1
})

afterEach(() => {
  vi.restoreAllMocks()
  fs.closeSync(fd)
  fs.rmSync(path.dirname(file), { recursive: true })
})

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function append(appender: Appender, bytes: Buffer, mayBeHere = true): Promise<void> {
  await nextTurn()
  await appendNow(appender, bytes, mayBeHere)
}

async function appendNow(appender: Appender, bytes: Buffer, mayBeHere = true): Promise<void> {
  await appender.write(fd, bytes, bytes.length, 0)
  await appender.sync(fd, bytes.length, mayBeHere)
}

test('what is small is synced on this thread once syncs have been quick, and no longer when one was not', async () => {
  const here = vi.spyOn(fs, 'fdatasyncSync')
  const there = vi.spyOn(fs, 'fdatasync')
  const appender = new Appender({ sync: true, clock: steppingClock() })
  await append(appender, SMALL)
  expect([here.mock.calls.length, there.mock.calls.length]).toEqual([0, 1])
  for (let i = 0; i < 40; i++) await append(appender, SMALL)
  expect(here).toHaveBeenCalled()
  const quick = here.mock.calls.length
  await append(appender, LARGE)
  await append(appender, SMALL, false)
  expect(here).toHaveBeenCalledTimes(quick)
  syncMs = 20
  await append(appender, SMALL)
  syncMs = 0.1
  await append(appender, SMALL)
  expect(here).toHaveBeenCalledTimes(quick + 1)
  expect(fs.readFileSync(file)).toHaveLength(LARGE.length)
})

test('what comes one after the other in one turn is not synced one by one', async () => {
  const here = vi.spyOn(fs, 'fdatasyncSync')
  const appender = new Appender({ sync: true, clock: steppingClock() })
  for (let i = 0; i < 40; i++) await append(appender, SMALL)
  const quick = here.mock.calls.length
  await nextTurn()
  const appended = [1, 2, 3].map(() => appendNow(appender, SMALL))
  await Promise.resolve()
  expect(here).toHaveBeenCalledTimes(quick + 1)
  await Promise.all(appended)
})

test('a disk that has paused is not waited for on this thread for a minute', async () => {
  const here = vi.spyOn(fs, 'fdatasyncSync')
  const clock = steppingClock()
  const appender = new Appender({ sync: true, clock })
  for (let i = 0; i < 40; i++) await append(appender, SMALL)
  syncMs = 20
  await append(appender, SMALL)
  const paused = here.mock.calls.length
  syncMs = 0.1
  for (let i = 0; i < 200; i++) await append(appender, SMALL)
  expect(here).toHaveBeenCalledTimes(paused)
  clock.pass(60_000)
  await append(appender, SMALL)
  expect(here).toHaveBeenCalledTimes(paused + 1)
})

test('a disk that is slow is never waited for on this thread', async () => {
  const here = vi.spyOn(fs, 'fdatasyncSync')
  syncMs = 3
  const appender = new Appender({ sync: true, clock: steppingClock() })
  for (let i = 0; i < 40; i++) await append(appender, SMALL)
  expect(here).not.toHaveBeenCalled()
})

test('a sync that fails on this thread is the same failure', async () => {
  const appender = new Appender({ sync: true, clock: steppingClock() })
  for (let i = 0; i < 40; i++) await append(appender, SMALL)
  vi.spyOn(fs, 'fdatasyncSync').mockImplementation(() => {
    throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' })
  })
  await expect(append(appender, SMALL)).rejects.toMatchObject({ code: 'EIO' })
})

test('without sync nothing is synced', async () => {
  const here = vi.spyOn(fs, 'fdatasyncSync')
  const there = vi.spyOn(fs, 'fdatasync')
  const appender = new Appender({ sync: false, clock: steppingClock() })
  for (let i = 0; i < 40; i++) await append(appender, SMALL)
  expect([here.mock.calls.length, there.mock.calls.length]).toEqual([0, 0])
})
