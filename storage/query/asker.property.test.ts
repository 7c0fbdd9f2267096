// The promise of a query (architecture.md §4.5) against a plain oracle: any frames, split over three
// stores in any overlapping way, with stores down, stores dying in the middle, and frames nobody has.
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Frame } from '../../mesh/index.ts'
import type { BucketRow } from './aggregate.ts'
import { parseQuery, type DownsampleQuery, type LatestQuery, type RangeQuery } from './query.ts'
import type { Row } from './row.ts'
import { collect, dataFrame, epochOf, rowsOfFrames, STREAM, T0, TestMesh } from './test-mesh.ts'

const SIGNAL = new AbortController().signal
const RUNS = { numRuns: 150 }

const value = fc.oneof(
  // Sums past the greatest double are another matter (exact-sum.ts).
  fc.double({ min: -1e300, max: 1e300 }),
  fc.constantFrom(Number.NaN, -0, Number.POSITIVE_INFINITY, 0.1, 1e16, -1e16),
  fc.integer({ min: -1000, max: 1000 }),
)
const sample = fc.record({
  timeUs: fc.integer({ min: 0, max: 600 }).map((n) => T0 + n * 100_000),
  fields: fc.record({ speed: value, state: fc.constantFrom('on', 'off') }, { requiredKeys: [] }),
})

/** Up to 24 frames of 3 sources and 2 epochs, each with the stores that hold it (none at all: 0). */
const split = fc
  .array(
    fc.record({
      lane: fc.integer({ min: 0, max: 5 }),
      samples: fc.array(sample, { minLength: 1, maxLength: 6 }),
      holders: fc.integer({ min: 0, max: 7 }),
    }),
    { maxLength: 24 },
  )
  .map((all) => {
    const sequences = [0, 0, 0, 0, 0, 0]
    return all.map(({ lane, samples, holders }) => {
      const sequence = (sequences[lane]! += 1)
      const name = { source: `VH${lane % 3}`, epoch: epochOf(1 + (lane % 2)), sequence }
      return { frame: dataFrame(name, samples), holders }
    })
  })

async function meshOf(frames: readonly { frame: Frame; holders: number }[]): Promise<TestMesh> {
  const mesh = new TestMesh(3)
  for (const [i, store] of mesh.stores.entries()) {
    await store.hold(frames.filter(({ holders }) => holders & (1 << i)).map(({ frame }) => frame))
  }
  // The stream is known whatever the split: else a query of it is an error.
  for (const store of mesh.stores) {
    await store.hold([
      dataFrame({ source: 'other', epoch: epochOf(1), sequence: 1 }, [
        { timeUs: 0, fields: { speed: 1 } },
      ]),
    ])
  }
  return mesh
}

const SOURCES = ['VH0', 'VH1', 'VH2']
const rangeQuery = (extra: object = {}): RangeQuery =>
  parseQuery({ kind: 'range', stream: STREAM, sources: SOURCES, ...extra }, T0) as RangeQuery

describe('a query over any split of frames', () => {
  test('range gives every sample held by anyone exactly once, in order', async () => {
    await fc.assert(
      fc.asyncProperty(split, fc.constantFrom('asc', 'desc'), async (frames, order) => {
        const mesh = await meshOf(frames)
        const { rows, coverage } = await mesh.asker.range(rangeQuery({ order }), SIGNAL)
        const expected = rowsOfFrames(frames.filter((f) => f.holders).map(({ frame }) => frame))
        if (order === 'desc') expected.reverse()
        expect(await collect(rows)).toEqual(expected)
        const { missing, unreachable } = counts(await coverage)
        expect(unreachable).toBe(0)
        expect(missing).toBe(holesOf(frames))
        expect((await coverage).complete).toBe(missing === 0)
      }),
      RUNS,
    )
  })

  test('time, limit and conditions choose the same rows as a plain filter', async () => {
    const limit = fc.integer({ min: 1, max: 30 })
    const bound = fc.integer({ min: 0, max: 600 }).map((n) => T0 + n * 100_000)
    await fc.assert(
      fc.asyncProperty(split, limit, bound, bound, async (frames, limit, a, b) => {
        fc.pre(a !== b)
        const [from, to] = a < b ? [a, b] : [b, a]
        const mesh = await meshOf(frames)
        const where = [{ field: 'speed', op: '>', value: 0 }]
        for (const order of ['asc', 'desc'] as const) {
          const query = rangeQuery({ from, to, limit, where, fields: ['speed'], order })
          const { rows } = await mesh.asker.range(query, SIGNAL)
          const all = rowsOfFrames(frames.filter((f) => f.holders).map(({ frame }) => frame))
          const expected = (order === 'asc' ? all : all.reverse())
            .filter(({ timeUs }) => timeUs >= from && timeUs < to)
            .filter(({ fields }) => Number(fields['speed'] ?? -1) > 0)
            .map((row): Row => ({ ...row, fields: { speed: row.fields['speed']! } }))
          expect(await collect(rows)).toEqual(expected.slice(0, limit))
        }
      }),
      RUNS,
    )
  })

  test('a store that is down or dies in the middle costs no row that another has, and repeats none', async () => {
    const trouble = fc.record({
      down: fc.integer({ min: 0, max: 7 }),
      dies: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 3, maxLength: 3 }),
    })
    await fc.assert(
      fc.asyncProperty(split, trouble, fc.boolean(), async (frames, { down, dies }, isDesc) => {
        fc.pre(down !== 7)
        const mesh = await meshOf(frames)
        for (const [i, store] of mesh.stores.entries()) {
          store.isDown = (down & (1 << i)) !== 0
          store.diesAfterEvents = deathAfter(dies[i])
        }
        const query = rangeQuery({ order: isDesc ? 'desc' : 'asc' })
        const { rows, coverage } = await mesh.asker.range(query, SIGNAL)
        const got = await collect(rows)
        const up = frames.filter(({ holders }) => (holders & ~down) !== 0)
        const expected = rowsOfFrames(up.map(({ frame }) => frame))
        if (isDesc) expected.reverse()
        const names = got.map(nameOf)
        expect(new Set(names).size).toBe(names.length)
        expect(names).toEqual(expected.map(nameOf).filter((name) => names.includes(name)))
        const cover = await coverage
        const absent = expected.filter((row) => !names.includes(nameOf(row)))
        expect(absent.filter((row) => !isUnreachable(cover, row))).toEqual([])
        const answered = [0, 1, 2].filter((i) => !(down & (1 << i))).length
        expect(cover.answered).toBe(answered)
        const mayBeComplete = absent.length === 0 && answered >= 2
        expect(cover.complete && !mayBeComplete).toBe(false)
      }),
      { numRuns: 300 },
    )
  })

  test('stores that gain frames between their digests and the reads repeat none', async () => {
    await fc.assert(
      fc.asyncProperty(split, async (frames) => {
        const mesh = await meshOf(frames)
        for (const store of mesh.stores) {
          const digest = store.peer.digest.bind(store.peer)
          store.peer.digest = async (request) => {
            const answer = await digest(request)
            await store.hold(frames.map(({ frame }) => frame))
            return answer
          }
        }
        const { rows } = await mesh.asker.range(rangeQuery(), SIGNAL)
        const names = (await collect(rows)).map(nameOf)
        expect(new Set(names).size).toBe(names.length)
        const known = rowsOfFrames(frames.filter((f) => f.holders).map(({ frame }) => frame))
        expect(known.map(nameOf).filter((name) => !names.includes(name))).toEqual([])
      }),
      RUNS,
    )
  })

  test('buckets are those of all samples held, whatever the split', async () => {
    const choice = fc.record({
      every: fc.constantFrom('100ms', '1s', '7s', '1m'),
      by: fc.constantFrom('source', 'stream'),
      order: fc.constantFrom('asc', 'desc'),
      dies: fc.integer({ min: 0, max: 3 }),
    })
    await fc.assert(
      fc.asyncProperty(split, choice, async (frames, { every, by, order, dies }) => {
        // Everything is on the first store and somewhere else too, so that the first may die.
        const safe = frames.map(
          ({ frame, holders }) => ({ frame, holders: 1 | (holders & 6 || 2) }) as const,
        )
        const mesh = await meshOf(safe)
        mesh.stores[0]!.diesAfterEvents = deathAfter(dies)
        const input = { kind: 'downsample', stream: STREAM, sources: SOURCES, every, by, order }
        const aggregates = ['count', 'sum', 'avg', 'min', 'max', 'first', 'last']
        const query = parseQuery({ ...input, aggregates, from: T0, to: T0 + 60_000_000 }, T0)
        const { rows, coverage } = await mesh.asker.downsample(query as DownsampleQuery, SIGNAL)
        const all = rowsOfFrames(safe.map(({ frame }) => frame))
        expect(await collect(rows)).toEqual(naiveBuckets(all, query as DownsampleQuery))
        expect((await coverage).complete).toBe(true)
      }),
      RUNS,
    )
  })

  test('latest gives the newest sample of each source, whoever has it', async () => {
    await fc.assert(
      fc.asyncProperty(split, async (frames) => {
        const mesh = await meshOf(frames)
        const query = parseQuery({ kind: 'latest', stream: STREAM, sources: SOURCES }, T0)
        const { rows } = await mesh.asker.latest(query as LatestQuery, SIGNAL)
        const newest = new Map<string, Row>()
        const held = frames.filter((f) => f.holders).map(({ frame }) => frame)
        for (const row of rowsOfFrames(held)) newest.set(row.source, row)
        const expected = [...newest.values()].sort((a, b) => (a.source < b.source ? -1 : 1))
        expect(await collect(rows)).toEqual(expected)
      }),
      RUNS,
    )
  })
})

const deathAfter = (events: number | undefined): number =>
  events === undefined || events === 3 ? Number.POSITIVE_INFINITY : events

interface Gaps {
  readonly gaps: readonly { missing: readonly number[]; unreachable: readonly number[] }[]
}

function counts({ gaps }: Gaps): { missing: number; unreachable: number } {
  const size = (runs: readonly number[]): number =>
    runs.reduce((sum, n, i) => sum + (i % 2 === 0 ? 1 - n : n), 0)
  return {
    missing: gaps.reduce((sum, gap) => sum + size(gap.missing), 0),
    unreachable: gaps.reduce((sum, gap) => sum + size(gap.unreachable), 0),
  }
}

/** Frames nobody has, below one of their lane that somebody has. */
function holesOf(frames: readonly { frame: Frame; holders: number }[]): number {
  return frames.filter(
    ({ frame, holders }) =>
      holders === 0 &&
      frames.some(
        (other) =>
          other.holders !== 0 &&
          other.frame.laneKey === frame.laneKey &&
          other.frame.sequence > frame.sequence,
      ),
  ).length
}

const nameOf = (row: Row): string => `${row.source}/${row.epoch}/${row.sequence}/${row.index}`

function isUnreachable(
  coverage: { gaps: readonly { source: string; epoch: string; unreachable: readonly number[] }[] },
  row: Row,
): boolean {
  return coverage.gaps.some(({ source, epoch, unreachable }) => {
    if (source !== row.source || epoch !== row.epoch) return false
    for (let i = 0; i < unreachable.length; i += 2) {
      if (row.sequence >= unreachable[i]! && row.sequence <= unreachable[i + 1]!) return true
    }
    return false
  })
}

function naiveBuckets(rows: readonly Row[], query: DownsampleQuery): BucketRow[] {
  const groups = new Map<string, Row[]>()
  for (const row of rows) {
    if (row.timeUs < query.fromUs || row.timeUs >= query.toUs) continue
    const begin = Math.floor(row.timeUs / query.everyUs) * query.everyUs
    const key = JSON.stringify([begin, query.by === 'source' ? row.source : ''])
    groups.set(key, [...(groups.get(key) ?? []), row])
  }
  const sign = query.order === 'asc' ? 1 : -1
  const buckets = [...groups].map(([key, members]) => {
    const [timeUs, source] = JSON.parse(key) as [number, string]
    return { timeUs, source, members }
  })
  buckets.sort((a, b) => sign * (a.timeUs - b.timeUs || (a.source < b.source ? -1 : 1)))
  return buckets.map(({ timeUs, source, members }) => {
    const names = [...new Set(members.flatMap(({ fields }) => Object.keys(fields)))].sort()
    const fields = names.map((name) => [name, naiveField(members, name)])
    return { timeUs, ...(source && { source }), fields: Object.fromEntries(fields) }
  })
}

function naiveField(members: readonly Row[], name: string): object {
  const values = members.flatMap(({ fields }) => (name in fields ? [fields[name]!] : []))
  const numbers = values.filter((value) => typeof value === 'number')
  const ordered = numbers.filter((value) => !Number.isNaN(value))
  const sum = naiveSum(numbers)
  return {
    count: values.length,
    ...(numbers.length > 0 && { sum, avg: sum / numbers.length }),
    ...(ordered.length > 0 && { min: Math.min(...ordered), max: Math.max(...ordered) }),
    first: values[0],
    last: values.at(-1),
  }
}

/** Exact by whole numbers: every double is an integer times 2^-1074. */
function naiveSum(numbers: readonly number[]): number {
  if (numbers.some((n) => !Number.isFinite(n))) return numbers.reduce((a, b) => a + b, 0)
  return roundedBig(numbers.reduce((sum, n) => sum + toBig(n), 0n))
}

function toBig(n: number): bigint {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, n)
  const bits = view.getBigUint64(0)
  const exponent = (bits >> 52n) & 0x7ffn
  const fraction = bits & 0xfffffffffffffn
  const size = exponent === 0n ? fraction : (fraction | (1n << 52n)) << (exponent - 1n)
  return bits >> 63n ? -size : size
}

/** To the nearest double, ties to even. */
function roundedBig(value: bigint): number {
  const size = value < 0n ? -value : value
  const shift = Math.max(0, size.toString(2).length - 53)
  let mantissa = size >> BigInt(shift)
  const rest = size - (mantissa << BigInt(shift))
  const half = shift === 0 ? 0n : 1n << BigInt(shift - 1)
  if (shift > 0 && (rest > half || (rest === half && mantissa % 2n === 1n))) mantissa += 1n
  const scaled = Number(mantissa) * 2 ** Math.max(-1074, shift - 1074)
  return value < 0n ? -scaled : scaled
}
