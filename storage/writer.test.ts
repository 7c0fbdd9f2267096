import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { FakeClock } from '../mesh/fake-clock.ts'
import { laneKey, systemClock, type Frame } from '../mesh/index.ts'
import { collect, EPOCHS, START_US, testFrame, testRun } from './conformance/test-frames.ts'
import { StorageError } from './errors.ts'
import type { StoredFrame } from './frame-store.ts'
import { openLevelStore, type LevelStore } from './level/level-store.ts'
import type { WritableStore } from './frame-store.ts'
import { Writer, type CommitResult } from './writer.ts'

const KEY = laneKey('VH001', 'vehicle.motion', EPOCHS[0]!)

let directory = ''
let store: LevelStore
let results: CommitResult<string>[] = []
let batches: number[] = []

beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-writer-'))
  store = await openLevelStore({ directory })
  results = []
  batches = []
})

afterEach(async () => {
  await store.close()
  fs.rmSync(directory, { recursive: true })
})

function writerOf(
  of: Partial<ConstructorParameters<typeof Writer<string>>[0]> = {},
): Writer<string> {
  return new Writer<string>({
    store,
    clock: systemClock,
    onCommitted: (some) => {
      results.push(...some)
      batches.push(some.length)
    },
    ...of,
  })
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function outcomes(): string[] {
  return results.map(({ outcome, sequence, origin }) => `${sequence} ${outcome} ${origin ?? '-'}`)
}

/** A store whose appends fail with this error while it is set. */
class FailingStore {
  error: Error | undefined
  reopened = 0
  readonly inner: LevelStore

  constructor(inner: LevelStore) {
    this.inner = inner
  }

  asStore(): WritableStore {
    return new Proxy<WritableStore>(this.inner, {
      get: (inner, name: keyof WritableStore) => {
        if (name === 'append') return (frames: readonly StoredFrame[]) => this.append(frames)
        if (name === 'reopen') return () => this.reopen()
        const value: unknown = inner[name]
        return typeof value === 'function' ? (value.bind(inner) as unknown) : value
      },
    })
  }

  private async append(frames: readonly StoredFrame[]): Promise<void> {
    if (this.error !== undefined) throw this.error
    await this.inner.append(frames)
  }

  private async reopen(): Promise<void> {
    this.reopened += 1
    if (this.error !== undefined) throw this.error
  }
}

describe('writer', () => {
  test('every frame is answered once, stored ones are held and on the disk', async () => {
    const writer = writerOf()
    for (const { frame } of testRun(20)) expect(writer.offer(frame, 'p1', START_US)).toBe('queued')
    await writer.drain()
    expect(outcomes()).toEqual(Array.from({ length: 20 }, (_, i) => `${i + 1} stored p1`))
    expect(store.lane(KEY)?.held.toRuns()).toEqual([1, 20])
    expect(writer.counters).toMatchObject({ frames: 20, samples: 20, batches: 1 })
    expect(store.syncCount).toBe(1)
    expect(writer.queuedBytes).toBe(0)
  })

  test('takes a copy: what was offered may be overwritten', async () => {
    const writer = writerOf()
    const { frame } = testFrame()
    const view = { ...frame, bytes: Buffer.from(frame.bytes) } as Frame
    writer.offer(view, 'p1', START_US)
    view.bytes.fill(0)
    await writer.drain()
    const [stored] = await collect(store.read(KEY, 1, 1))
    expect(stored?.frame.bytes.equals(frame.bytes)).toBe(true)
    expect(results[0]?.frame.body.equals(frame.body)).toBe(true)
  })

  test('a duplicate is told from a conflict, held or in the same batch', async () => {
    const writer = writerOf()
    const [one, two] = testRun(2)
    const other = testFrame({ body: 'other bytes' })
    writer.offer(one!.frame, 'p1', START_US)
    await writer.drain()
    writer.offer(one!.frame, 'p2', START_US)
    writer.offer(other.frame, 'p3', START_US)
    writer.offer(two!.frame, 'p4', START_US)
    writer.offer(two!.frame, 'p5', START_US)
    writer.offer(testFrame({ sequence: 2, body: 'x' }).frame, 'p6', START_US)
    await writer.drain()
    expect(outcomes()).toEqual([
      '1 stored p1',
      '1 duplicate p2',
      '1 conflict p3',
      '2 stored p4',
      '2 duplicate p5',
      '2 conflict p6',
    ])
    const { conflict } = results[2]!
    expect(conflict).toMatchObject({ heldCrc: one!.frame.crc, offeredCrc: other.frame.crc })
    expect(conflict?.heldSha256).not.toBe(conflict?.offeredSha256)
    expect(writer.counters).toMatchObject({ frames: 2, duplicates: 2, conflicts: 2 })
    expect((await store.stats()).frames).toBe(2)
  })

  test('a duplicate of a frame that turns out to be damaged is stored again', async () => {
    const { frame } = testFrame()
    await store.append([{ frame, ingestUs: START_US }])
    const [segment] = fs
      .readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.seg'))
    const file = path.join(directory, segment!)
    const bytes = fs.readFileSync(file)
    bytes[bytes.length - 2] = bytes[bytes.length - 2]! ^ 1
    fs.writeFileSync(file, bytes)
    expect(await collect(store.read(KEY, 1, 1))).toEqual([])
    const writer = writerOf()
    writer.offer(frame, 'p1', START_US)
    await writer.drain()
    expect(outcomes()).toEqual(['1 stored p1'])
    expect((await collect(store.read(KEY, 1, 1))).length).toBe(1)
  })

  test('repair carries the ingest time along; others get the time of now', async () => {
    const writer = writerOf({ clock: new FakeClock(START_US + 5) })
    writer.offer(testFrame().frame, undefined, START_US - 7)
    writer.offer(testFrame({ sequence: 2 }).frame, 'p1')
    await writer.drain()
    const frames = await collect(store.read(KEY, 1, 2))
    expect(frames.map(({ ingestUs }) => ingestUs)).toEqual([START_US - 7, START_US + 5])
    expect(outcomes()).toEqual(['1 stored -', '2 stored p1'])
  })

  test('a repeat of what is being synced is told only with it', async () => {
    const syncs: PromiseWithResolvers<void>[] = []
    const held = new Proxy<WritableStore>(store, {
      get: (inner, name: keyof WritableStore) => {
        const value: unknown = inner[name]
        if (name !== 'append') {
          return typeof value === 'function' ? (value.bind(inner) as unknown) : value
        }
        return async (frames: readonly StoredFrame[], onWritten: () => void): Promise<void> => {
          onWritten()
          const sync = Promise.withResolvers<void>()
          syncs.push(sync)
          await sync.promise
          await inner.append(frames)
        }
      },
    })
    const writer = writerOf({ store: held, commitIntervalMs: 0 })
    const large = 'x'.repeat(600_000)
    const frame = (sequence: number, source = 'VH001'): Frame =>
      testFrame({ sequence, source, body: large }).frame
    writer.offer(frame(1), 'p')
    await vi.waitUntil(() => syncs.length === 1)
    writer.offer(frame(1), 'again')
    writer.offer(frame(2), 'p')
    writer.offer(frame(3), 'p')
    writer.offer(testFrame({ sequence: 1, body: 'other' }).frame, 'q')
    // Only the batch of frame 1 again, and nothing to write in it.
    await nextTurn()
    expect(results).toEqual([])
    syncs[0]!.resolve()
    await vi.waitUntil(() => {
      for (const sync of syncs) sync.resolve()
      return results.length === 5
    })
    expect(outcomes()).toEqual([
      '1 stored p',
      '1 duplicate again',
      '2 stored p',
      '3 stored p',
      '1 conflict q',
    ])
  })

  test('frames gather while a commit is under way, and no batch exceeds its bounds', async () => {
    const writer = writerOf({ commitIntervalMs: 0 })
    for (const { frame } of testRun(10_000)) writer.offer(frame, 'p1', START_US)
    await writer.drain()
    expect(batches).toEqual([8192, 1808])
    expect(store.syncCount).toBe(2)
  })

  test('full - beyond the budget nothing is taken until something is committed', async () => {
    const frames = testRun(3)
    const writer = writerOf({ budgetBytes: frames[0]!.frame.bytes.length * 2 })
    expect(frames.map(({ frame }) => writer.offer(frame, 'p', START_US))).toEqual([
      'queued',
      'queued',
      'full',
    ])
    await writer.drain()
    expect(writer.offer(frames[2]!.frame, 'p', START_US)).toBe('queued')
    await writer.close()
    expect(outcomes()).toEqual(['1 stored p', '2 stored p', '3 stored p'])
  })

  test('after a commit of many frames the next one waits for more, after one of few it does not', async () => {
    const clock = new FakeClock()
    const writer = writerOf({ clock, commitIntervalMs: 50 })
    const commit = async (from: number, to: number): Promise<void> => {
      for (let sequence = from; sequence <= to; sequence++) {
        writer.offer(testFrame({ sequence }).frame, 'p')
      }
      await writer.drain()
    }
    await commit(1, 1)
    await commit(2, 2)
    await commit(3, 12)
    expect(writer.counters.batches).toBe(3)
    writer.offer(testFrame({ sequence: 13 }).frame, 'p')
    await clock.advance(49)
    expect(writer.counters.batches).toBe(3)
    await clock.advance(2)
    await writer.drain()
    expect(writer.counters.batches).toBe(4)
  })

  test('a failed write acknowledges nothing, says why, and the store is tried again', async () => {
    const clock = new FakeClock()
    const failing = new FailingStore(store)
    const writer = writerOf({ clock, store: failing.asStore() })
    failing.error = new StorageError('STORE_DISK_FULL', 'no space left')
    writer.offer(testFrame().frame, 'p')
    await writer.drain()
    expect(outcomes()).toEqual(['1 refused p'])
    expect(writer.health()).toMatchObject({
      state: 'failing',
      code: 'STORE_DISK_FULL',
      reason: 'no space left',
      sinceUs: clock.nowUs(),
    })
    expect(writer.offer(testFrame().frame, 'p')).toBe('refused')
    await clock.advance(10_000)
    // After 1, 3 and 7 seconds.
    expect(failing.reopened).toBe(3)
    failing.error = undefined
    await clock.advance(8000)
    expect(writer.health()).toEqual({ state: 'healthy' })
    writer.offer(testFrame().frame, 'p')
    await writer.drain()
    expect(outcomes()).toEqual(['1 refused p', '1 stored p'])
    expect(store.lane(KEY)?.held.toRuns()).toEqual([1, 1])
  })

  test('a full disk behind an error of another name is called what it is', async () => {
    const failing = new FailingStore(store)
    const writer = writerOf({ clock: new FakeClock(), store: failing.asStore() })
    const cause = new Error('IO error: /data/000003.log: No space left on device')
    failing.error = new Error('Database failed to open', { cause })
    writer.offer(testFrame().frame, 'p')
    await writer.drain()
    expect(writer.health()).toMatchObject({ state: 'failing', code: 'STORE_DISK_FULL' })
  })

  test('close - settles what was offered, then refuses', async () => {
    const writer = writerOf()
    writer.offer(testFrame().frame, 'p')
    await writer.close()
    expect(outcomes()).toEqual(['1 stored p'])
    expect(writer.offer(testFrame({ sequence: 2 }).frame, 'p')).toBe('refused')
    expect(writer.health()).toEqual({ state: 'closed' })
  })
})
