import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { laneKey, SHARDS, type Epoch } from '../../../mesh/index.ts'
import { HOUR_US, START_US } from '../../conformance/test-frames.ts'
import type { StoredBlock, StoredFrame } from '../../frame-store.ts'
import { Latest } from '../../latest.ts'
import { bucketRow } from '../../query/aggregate.ts'
import { scan } from '../../query/scan.ts'
import { sortOut } from '../../sort-out.ts'
import { UnderWay } from '../../under-way.ts'
import { collect } from '../../query/test-mesh.ts'
import type { DownsampleQuery, RangeQuery } from '../../query/query.ts'
import { openLevelStore, type LevelStore, type LevelStoreOptions } from '../level-store.ts'
import { filesOf, flip, snapshot } from '../test-disk.ts'
import { SCHEMA, sampleFrame, schemaOf } from './block-test-frames.ts'

const EPOCH = '019b76da7fdc0001' as Epoch
const KEY = laneKey('VH001', 'vehicle.motion', EPOCH)
const START_MS = START_US / 1000
const FRAMES = 60
const SAMPLES = 100
const FAST: Partial<LevelStoreOptions> = { segmentBytesMax: 20_000 }

let directories: string[] = []
let stores: LevelStore[] = []
let directory = ''
let store: LevelStore

beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-compaction-'))
  store = await open(directory)
})

afterEach(async () => {
  for (const each of stores) await each.close()
  for (const each of [directory, ...directories]) fs.rmSync(each, { recursive: true })
  directories = []
  stores = []
})

async function open(at: string): Promise<LevelStore> {
  const opened = await openLevelStore({
    directory: at,
    schemas: { get: schemaOf, list: () => [SCHEMA] },
    ...FAST,
  })
  stores.push(opened)
  return opened
}

/** Half a second between samples, so an hour holds them all; one frame is msgpack. */
function frames(from = 1, to = FRAMES, count = SAMPLES): StoredFrame[] {
  return Array.from({ length: to - from + 1 }, (_, i) => {
    const sequence = from + i
    const samples = Array.from({ length: count }, (__, j) => {
      const n = sequence * count + j
      const timeUs = START_US + n * 500_000
      return {
        timeUs,
        fields: {
          a: n,
          speed: Math.round(Math.sin(n) * 1000) / 10,
          ...(n % 3 === 0 && { 'b b': n / 7 }),
        },
      }
    })
    const frame = sampleFrame(
      samples,
      sequence,
      SCHEMA,
      0,
      sequence === 50 ? 'msgpack' : 'columnar',
    )
    return { frame: frame.frame, ingestUs: START_US + sequence }
  })
}

async function append(some: readonly StoredFrame[], to = store): Promise<void> {
  for (let i = 0; i < some.length; i += 10) await to.append(some.slice(i, i + 10))
}

function hex(some: readonly StoredFrame[]): string[] {
  return some.map(({ frame, ingestUs }) => `${ingestUs} ${frame.bytes.toString('hex')}`)
}

async function readAll(from = store): Promise<string[]> {
  return hex(await collect(from.read(KEY, 1, Infinity)))
}

function frameBytes(at: string): number {
  const files = [...filesOf(at, '.seg'), ...filesOf(at, '.blk')]
  return files.reduce((sum, file) => sum + fs.statSync(file).size, 0)
}

async function compact(some = store): Promise<void> {
  expect(await some.compact('default', START_MS)).toBe(true)
}

const RANGE: RangeQuery = {
  kind: 'range',
  stream: 'vehicle.motion',
  where: [],
  fromUs: START_US + 900_000_000,
  toUs: START_US + 2_000_000_000,
  order: 'asc',
}
const SUMS: DownsampleQuery = {
  kind: 'downsample',
  stream: 'vehicle.motion',
  where: [],
  fromUs: START_US,
  toUs: START_US + 2 * HOUR_US,
  order: 'asc',
  everyUs: 600_000_000,
  aggregates: ['count', 'sum', 'avg', 'min', 'max'],
  by: 'source',
}

async function answer(
  query: RangeQuery | DownsampleQuery,
  runs?: readonly number[],
): Promise<string> {
  const latest = new Latest({ newest: () => undefined })
  const lanes = runs === undefined ? undefined : [{ epoch: EPOCH, runs }]
  const request = { query, parts: [{ source: 'VH001', ...(lanes !== undefined && { lanes }) }] }
  const from = { store, latest, schemaOf, shards: SHARDS }
  const events = await collect(scan(from, request, new AbortController().signal))
  // Parts of an exact sum differ with the order in which they came; their total does not.
  const aggregates = query.kind === 'downsample' ? query.aggregates : []
  const answers = events.map((event) =>
    'buckets' in event ? event.buckets.map((bucket) => bucketRow(bucket, aggregates)) : event,
  )
  return inspect(answers, { depth: 9, maxArrayLength: null, sorted: true })
}

test('compact - every frame comes back bit for bit, under the same names, from fewer bytes', async () => {
  const all = frames()
  await append(all)
  const before = { bytes: frameBytes(directory), held: store.lane(KEY)!.held.toRuns() }
  await compact()
  expect(filesOf(directory, '.seg')).toEqual([])
  expect(filesOf(directory, '.blk')).toHaveLength(1)
  expect(await readAll()).toEqual(hex(all))
  expect(store.lane(KEY)!.held.toRuns()).toEqual(before.held)
  expect(frameBytes(directory)).toBeLessThan(before.bytes)
  expect(await store.crcOf(KEY, 33)).toBe(all[32]!.frame.crc)
  expect(await store.compact('default', START_MS)).toBe(false)
  const crashed = snapshot(directory)
  directories.push(crashed)
  const after = await open(crashed)
  expect(await readAll(after)).toEqual(hex(all))
  await store.close()
  store = await open(directory)
  expect(await readAll()).toEqual(hex(all))
  expect(store.damaged()).toEqual([])
})

test('compact - a bucket goes on being written, read and compacted', async () => {
  const all = frames()
  await append(all.slice(0, 30))
  const compacting = compact()
  await append(all.slice(30, 50))
  expect(await readAll()).toEqual(hex(all.slice(0, 50)))
  await compacting
  await append(all.slice(50))
  expect(await readAll()).toEqual(hex(all))
  await compact()
  expect(filesOf(directory, '.blk')).toHaveLength(2)
  expect(filesOf(directory, '.seg')).toEqual([])
  expect(await readAll()).toEqual(hex(all))
})

test('compact - a reader that began before goes on', async () => {
  const all = frames()
  await append(all)
  const read: StoredFrame[] = []
  for await (const frame of store.read(KEY, 1, Infinity)) {
    if (read.push(frame) === 5) await compact()
  }
  expect(hex(read)).toEqual(hex(all))
})

test('compact - queries answer as before, from columns and from sums', async () => {
  await append(frames())
  const queries: [RangeQuery | DownsampleQuery, number[]?][] = [
    [RANGE],
    [{ ...RANGE, order: 'desc', limit: 17 }],
    [RANGE, [3, 20, 30, 31]],
    [SUMS],
    [{ ...SUMS, everyUs: 60_000_000, by: 'stream' }],
    [{ ...SUMS, everyUs: 70_000_000 }],
    [{ ...SUMS, aggregates: ['first', 'last', 'sum'] }],
    [{ ...SUMS, fields: ['b b', 'nothing'] }],
    [{ ...SUMS, where: [{ field: 'speed', op: '>', value: 0 }] }],
    [{ ...SUMS, fromUs: START_US + 700_000_000 }],
    [SUMS, [1, 41]],
  ]
  const before = []
  for (const [query, runs] of queries) before.push(await answer(query, runs))
  expect(new Set(before).size).toBe(queries.length)
  await compact()
  const [block] = await collect(store.scan({ ...SUMS, source: 'VH001' }))
  expect((block as StoredBlock).cells(SUMS.everyUs)).toBeDefined()
  for (const [i, [query, runs]] of queries.entries()) {
    expect(await answer(query, runs), `${i}`).toBe(before[i])
  }
})

test('compact - damage in a segment costs its frame, which is listed and can come again', async () => {
  const all = frames()
  await append(all)
  await store.close()
  flip(filesOf(directory, '000002.seg')[0]!, 3000)
  store = await open(directory)
  await compact()
  const [lost] = store.damaged()
  expect(store.damaged()).toHaveLength(1)
  expect(await readAll()).toEqual(hex(all.filter(({ frame }) => frame.sequence !== lost!.sequence)))
  await store.append([all[lost!.sequence - 1]!])
  expect(store.damaged()).toEqual([])
  expect(await readAll()).toEqual(hex(all))
})

test('a flipped bit of a block file never serves a wrong frame, and what is lost is listed', async () => {
  const all = frames()
  await append(all)
  await compact()
  await store.close()
  const [file] = filesOf(directory, '.blk')
  const { size } = fs.statSync(file!)
  const right = new Set(hex(all))
  for (let at = 3; at < size; at += Math.ceil(size / 12)) {
    const copy = snapshot(directory)
    directories.push(copy)
    flip(path.join(copy, path.relative(directory, file!)), at)
    const damaged = await open(copy)
    const read = await readAll(damaged)
    expect(read.filter((each) => !right.has(each))).toEqual([])
    expect(read.length + damaged.damaged().length, `flip at ${at} of ${size}`).toBe(FRAMES)
    const lost = damaged.damaged().map(({ sequence }) => all[sequence - 1]!)
    if (lost.length > 0) await damaged.append(lost)
    expect(await readAll(damaged)).toEqual(hex(all))
    expect(damaged.damaged()).toEqual([])
    await damaged.close()
    expect(await readAll(await open(copy))).toEqual(hex(all))
  }
})

test('a scrub finds a flipped bit of a block file; a block file that is gone leaves names', async () => {
  await append(frames())
  await compact()
  const [file] = filesOf(directory, '.blk')
  flip(file!, 2000)
  let found = 0
  for (const each of store.finishedFiles()) found += await store.verify(each, async () => undefined)
  expect(found).toBeGreaterThan(0)
  expect(store.damaged()).toHaveLength(found)
  await store.close()
  fs.rmSync(file!)
  store = await open(directory)
  expect(await readAll()).toEqual([])
  expect(store.lane(KEY)?.held.isEmpty ?? true).toBe(true)
  expect(store.damaged()).toHaveLength(FRAMES)
})

test('a stop at any step of a compaction leaves every frame, once', async () => {
  const all = frames()
  await append(all)
  await store.close()
  const before = snapshot(directory)
  store = await open(directory)
  await compact()
  await store.close()
  const bucket = `buckets/default/${START_MS}`
  const [block] = filesOf(directory, '.blk')
  const name = path.basename(block!)
  const segments = filesOf(before, '.seg').map((file) => path.basename(file))
  // Each is a moment: what is there of the block file, under which name, and how many segments went.
  const moments = [
    { as: `${name}.tmp`, bytes: 500, removed: 0 },
    { as: `${name}.tmp`, bytes: Infinity, removed: 0 },
    { as: name, bytes: Infinity, removed: 0 },
    { as: name, bytes: Infinity, removed: 1 },
    { as: name, bytes: Infinity, removed: segments.length },
  ]
  for (const { as, bytes, removed } of moments) {
    const copy = snapshot(before)
    directories.push(copy)
    const content = fs.readFileSync(block!)
    fs.writeFileSync(
      path.join(copy, bucket, as),
      content.subarray(0, Math.min(bytes, content.length)),
    )
    for (const segment of segments.slice(0, removed)) fs.rmSync(path.join(copy, bucket, segment))
    const opened = await open(copy)
    expect(await readAll(opened), `${as} ${bytes} ${removed}`).toEqual(hex(all))
    expect(opened.damaged()).toEqual([])
    expect(filesOf(copy, '.seg')).toHaveLength(as === name ? 0 : segments.length)
  }
  directories.push(before)
})

test('a bad sector of a block file costs the blocks in it, at run time and when opening', async () => {
  const all = frames()
  await append(all)
  await compact()
  const [file] = filesOf(directory, '.blk')
  const bad = 13_000
  expect(fs.statSync(file!).size).toBeGreaterThan(bad + 8_192)
  const { read } = fs
  const disk = vi.spyOn(fs, 'read').mockImplementation(((
    fd: number,
    into: Buffer,
    at: number,
    length: number,
    position: number,
    done: (error: Error | null, got: number, into: Buffer) => void,
  ) => {
    const isBlockFile = fs.readlinkSync(`/proc/self/fd/${fd}`) === file
    if (!isBlockFile || position > bad || position + length <= bad) {
      return read(fd, into, at, length, position, done)
    }
    return done(Object.assign(new Error('EIO'), { code: 'EIO' }), 0, into)
  }) as typeof fs.read)
  try {
    let found = 0
    for (const each of store.finishedFiles())
      found += await store.verify(each, async () => undefined)
    expect(found).toBeGreaterThan(0)
    expect(found).toBeLessThan(FRAMES / 2)
    const lost = new Set(store.damaged().map(({ sequence }) => sequence))
    const rest = hex(all.filter(({ frame }) => !lost.has(frame.sequence)))
    expect(await readAll()).toEqual(rest)
    await store.close()
    store = await open(directory)
    expect(await readAll()).toEqual(rest)
    expect(store.lane(KEY)!.held.size).toBe(rest.length)
    await store.append(all.filter(({ frame }) => lost.has(frame.sequence)))
    expect(await readAll()).toEqual(hex(all))
  } finally {
    disk.mockRestore()
  }
})

test('two blocks rot: when one comes again, the other is missed as well', async () => {
  const all = frames()
  await append(all)
  await compact()
  const [file] = filesOf(directory, '.blk')
  const { size } = fs.statSync(file!)
  for (const at of [3_000, size - 3_000]) flip(file!, at)
  const first = await collect(store.read(KEY, 1, 1))
  expect(first).toEqual([])
  const known = store.damaged().map(({ sequence }) => all[sequence - 1]!)
  expect(known.length).toBeGreaterThan(0)
  await store.append(known)
  expect(store.damaged().length).toBeGreaterThan(0)
  const missed = store.damaged().map(({ sequence }) => all[sequence - 1]!)
  expect(store.lane(KEY)!.held.size).toBe(FRAMES - missed.length)
  await store.append(missed)
  expect(await readAll()).toEqual(hex(all))
  expect(store.damaged()).toEqual([])
})

test('a schema that is missing for a while: frames cannot be had, and nothing is lost or taken twice', async () => {
  // Small ones share a check, so that the index does not know their CRCs.
  const all = frames(1, FRAMES, 10)
  await append(all)
  await compact()
  await store.close()
  const missing = await openLevelStore({ directory, ...FAST })
  stores.push(missing)
  expect((await readAll(missing)).length).toBeLessThan(FRAMES)
  expect(missing.lane(KEY)!.held.size).toBe(FRAMES)
  expect(missing.damaged()).toEqual([])
  const { verdicts } = await sortOut(missing, all, new UnderWay())
  expect(new Set(verdicts)).toEqual(new Set(['duplicate', 'refused']))
  await missing.close()
  store = await open(directory)
  expect(await readAll()).toEqual(hex(all))
})
