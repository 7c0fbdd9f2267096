// The store against a plain Map: random batches, clean and unclean stops, damage.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { laneKey } from '../../mesh/index.ts'
import {
  collect,
  EPOCHS,
  HOUR_US,
  plain,
  scanFrames,
  START_US,
  testFrame,
} from '../conformance/test-frames.ts'
import type { StoredFrame } from '../frame-store.ts'
import { openLevelStore, type LevelStore } from './level-store.ts'

const TINY = { segmentBytesMax: 1500, segmentFramesMax: 12, warmBucketsMax: 2 }
const SOURCES = ['VH001', 'VH002']

interface State {
  directory: string
  store: LevelStore
  model: Map<string, StoredFrame>
  /** What retention removed of it. */
  trimmed: Map<string, StoredFrame>
  leftBehind: string[]
}

type Step = (state: State) => Promise<void>

const frameArbitrary = fc.record({
  source: fc.constantFrom(...SOURCES),
  epoch: fc.constantFrom(EPOCHS[0]!, EPOCHS[1]!),
  sequence: fc.integer({ min: 1, max: 60 }),
  firstUs: fc.integer({ min: START_US, max: START_US + HOUR_US }),
  span: fc.integer({ min: 0, max: 600_000_000 }),
  ingestUs: fc.integer({ min: START_US, max: START_US + 3 * HOUR_US }),
  kind: fc.constantFrom('data' as const, 'data' as const, 'data' as const, 'skip' as const),
})

const append = fc
  .array(frameArbitrary, { minLength: 1, maxLength: 12 })
  .map((specs): [string, Step] => [
    `append ${specs.map(({ source, sequence }) => `${source}/${sequence}`).join(' ')}`,
    async ({ store, model, trimmed }) => {
      const batch = new Map<string, StoredFrame>()
      for (const { span, ...spec } of specs) {
        const name = `${spec.source} ${spec.epoch} ${spec.sequence}`
        const body =
          spec.kind === 'skip'
            ? `{"runs":[[${spec.sequence + 100},${spec.sequence + 101},1]]}`
            : name
        const frame = testFrame({ ...spec, lastUs: spec.firstUs + span, body })
        if (!model.has(name) && !trimmed.has(name)) batch.set(name, frame)
      }
      await store.append([...batch.values()])
      for (const [name, frame] of batch) model.set(name, frame)
    },
  ])

const reopen = fc.constant<[string, Step]>([
  'reopen',
  async (state) => {
    await state.store.close()
    state.store = await openLevelStore({ directory: state.directory, ...TINY })
  },
])

const crash = fc.constant<[string, Step]>([
  'crash',
  async (state) => {
    const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-property-'))
    copyLive(state.directory, copy)
    state.leftBehind.push(state.directory)
    await state.store.close()
    state.directory = copy
    state.store = await openLevelStore({ directory: copy, ...TINY })
  },
])

const trim = fc.integer({ min: 0, max: 3 }).map((hour): [string, Step] => [
  `retention removes hour ${hour}`,
  async ({ store, model, trimmed }) => {
    const startMs = START_US / 1000 + hour * 3_600_000
    const isThere = (await store.bucketFacts()).some((bucket) => bucket.startMs === startMs)
    expect(await store.trim('default', startMs)).toBe(isThere)
    for (const [name, stored] of model) {
      const ms = stored.ingestUs / 1000
      if (ms < startMs || ms >= startMs + 3_600_000) continue
      model.delete(name)
      trimmed.set(name, stored)
    }
  },
])

const compact = fc.integer({ min: 0, max: 3 }).map((hour): [string, Step] => [
  `hour ${hour} is compacted`,
  async ({ store }) => {
    const startMs = START_US / 1000 + hour * 3_600_000
    const before = (await store.bucketFacts()).find((bucket) => bucket.startMs === startMs)
    const isDone = await store.compact('default', startMs)
    expect(isDone).toBe(before !== undefined && before.segments > 0)
    const after = (await store.bucketFacts()).find((bucket) => bucket.startMs === startMs)
    expect(after?.segments ?? 0).toBe(0)
  },
])

/** As a crash leaves it. LevelDB may be removing a file at this very moment: then once more. */
function copyLive(from: string, to: string): void {
  for (let tries = 1; ; tries++) {
    try {
      fs.cpSync(from, to, { recursive: true })
      return
    } catch (error) {
      if (tries === 10 || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      fs.rmSync(to, { recursive: true, force: true })
      fs.mkdirSync(to)
    }
  }
}

const tear = fc.integer({ min: 1, max: 40 }).map((bytes): [string, Step] => [
  `torn write of ${bytes} bytes, then crash`,
  async (state) => {
    const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-property-'))
    copyLive(state.directory, copy)
    for (const name of fs.readdirSync(copy, { recursive: true, encoding: 'utf8' })) {
      if (name.endsWith('.seg')) fs.appendFileSync(path.join(copy, name), Buffer.alloc(bytes, 0x53))
    }
    state.leftBehind.push(state.directory)
    await state.store.close()
    state.directory = copy
    state.store = await openLevelStore({ directory: copy, ...TINY })
  },
])

async function check(
  { store, model, trimmed }: State,
  range: { fromUs: number; toUs: number },
): Promise<void> {
  for (const source of SOURCES) {
    const scanned: StoredFrame[] = []
    for (const epoch of [EPOCHS[0]!, EPOCHS[1]!]) {
      const key = laneKey(source, 'vehicle.motion', epoch)
      const wanted = [...model.values()]
        .filter(({ frame }) => frame.laneKey === key)
        .sort((a, b) => a.frame.sequence - b.frame.sequence)
      expect(plain(await collect(store.read(key, 1, 100)))).toEqual(plain(wanted))
      const lane = store.lane(key)
      expect(lane?.held.size ?? 0).toBe(wanted.length)
      for (const { frame } of wanted) expect(lane?.held.has(frame.sequence)).toBe(true)
      const gone = [...trimmed.values()].filter(({ frame }) => frame.laneKey === key)
      expect(lane?.trimmed.size ?? 0).toBe(gone.length)
      for (const { frame } of gone) expect(lane?.trimmed.has(frame.sequence)).toBe(true)
      const all = [...wanted, ...gone]
      const skips = all.filter(({ frame }) => frame.kind === 'skip')
      for (const { frame } of skips) expect(lane?.skipped.has(frame.sequence + 100)).toBe(true)
      const data = wanted.filter(({ frame }) => frame.kind === 'data')
      expect(lane?.sampleCount ?? 0).toBe(data.length)
      expect(lane?.lastIngestUs ?? 0).toBe(Math.max(0, ...all.map(({ ingestUs }) => ingestUs)))
      const middle = wanted[wanted.length >> 1]?.frame
      expect(await store.crcOf(key, middle?.sequence ?? 1)).toBe(middle?.crc)
      scanned.push(...data)
    }
    const meets = scanned.filter(
      ({ frame }) => frame.firstUs < range.toUs && frame.lastUs >= range.fromUs,
    )
    meets.sort(
      ({ frame: a }, { frame: b }) =>
        a.firstUs - b.firstUs || a.epoch.localeCompare(b.epoch) || a.sequence - b.sequence,
    )
    const found = await scanFrames(store, { stream: 'vehicle.motion', source, ...range })
    expect(plain(found)).toEqual(plain(meets))
  }
  expect(store.damaged()).toEqual([])
}

test('level store - agrees with a Map through appends, stops and crashes', async () => {
  const step = fc.oneof({ weight: 6, arbitrary: append }, reopen, crash, tear, trim, compact)
  const rangeArbitrary = fc
    .tuple(fc.nat({ max: HOUR_US }), fc.nat({ max: HOUR_US }))
    .map(([from, span]) => ({ fromUs: START_US + from, toUs: START_US + from + span }))
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 14 }),
      rangeArbitrary,
      async (steps, range) => {
        const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-property-'))
        const store = await openLevelStore({ directory, ...TINY })
        const model = new Map()
        const state: State = { directory, store, model, trimmed: new Map(), leftBehind: [] }
        try {
          for (const [, run] of steps) await run(state)
          await check(state, range)
        } finally {
          await state.store.close()
          for (const each of [state.directory, ...state.leftBehind]) {
            fs.rmSync(each, { recursive: true, force: true })
          }
        }
      },
    ),
    { numRuns: 60, interruptAfterTimeLimit: 20_000 },
  )
})
