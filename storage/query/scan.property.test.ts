// A scan at one store with a window so small that it is cut again and again: the same rows and
// buckets as with one that holds everything, resumed anywhere, in either order.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { MemoryStore } from '../conformance/memory-store.ts'
import type { ScanRequest } from './peer.ts'
import { parseQuery } from './query.ts'
import { comparer, type Position, type Row } from './row.ts'
import { scan } from './scan.ts'
import {
  collect,
  dataFrame,
  epochOf,
  rowsOfFrames,
  ScannedLatest,
  schemaOf,
  STREAM,
  T0,
} from './test-mesh.ts'

const SIGNAL = new AbortController().signal

const input = fc.record({
  frames: fc.array(
    fc.record({
      source: fc.integer({ min: 0, max: 3 }),
      times: fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 20 }),
    }),
    { maxLength: 15 },
  ),
  weight: fc.constantFrom(1, 30, 100, 400),
  order: fc.constantFrom('asc', 'desc'),
  /** Some windows are days long, some microseconds. */
  scaleUs: fc.constantFrom(1, 1_000_000),
})

async function scanAll(
  { frames, weight, order, scaleUs }: typeof input extends fc.Arbitrary<infer T> ? T : never,
  extra: object,
  after?: Position,
) {
  const store = new MemoryStore()
  const made = frames.map(({ source, times }, i) =>
    dataFrame(
      { source: `VH${source}`, epoch: epochOf(1), sequence: i + 1 },
      times.map((n) => ({ timeUs: T0 + n * scaleUs, fields: { speed: n } })),
    ),
  )
  await store.append(made.map((frame) => ({ frame, ingestUs: T0 })))
  const query = parseQuery({ stream: STREAM, order, ...extra }, T0)
  const parts = [0, 1, 2, 3].map((n) => ({ source: `VH${n}` }))
  const request: ScanRequest = { query, parts, after }
  const latest = new ScannedLatest(() => made)
  const events = await collect(
    scan({ store, latest, schemaOf, windowWeightMax: weight }, request, SIGNAL),
  )
  return { made, events }
}

test('rows come once each and in order, however small the window', async () => {
  await fc.assert(
    fc.asyncProperty(input, fc.nat(), async (given, cut) => {
      const { made, events } = await scanAll(given, { kind: 'range' })
      const rows = events.flatMap((event) => ('rows' in event ? event.rows : []))
      const compare = comparer(given.order)
      const expected = rowsOfFrames(made).sort(compare)
      expect(rows).toEqual(expected)
      if (expected.length === 0) return
      const at = cut % expected.length
      const { epoch, sequence, index, timeUs, source } = expected[at]!
      const after = { epoch, sequence, index, timeUs, source }
      const rest = (await scanAll(given, { kind: 'range' }, after)).events
      const left = rest.flatMap((event): readonly Row[] => ('rows' in event ? event.rows : []))
      expect(left).toEqual(expected.slice(at + 1))
    }),
    { numRuns: 200 },
  )
})

test('buckets come once each and in order, however small the window', async () => {
  await fc.assert(
    fc.asyncProperty(input, fc.constantFrom('source', 'stream'), async (given, by) => {
      const every = given.scaleUs === 1 ? '7us' : '7s'
      const from = `${T0 + 3}us`
      const to = `${T0 + 300 * given.scaleUs}us`
      const extra = { kind: 'downsample', from, to, every, by, aggregates: ['count'] }
      const { made, events } = await scanAll(given, extra)
      const got = events
        .flatMap((event) => ('buckets' in event ? event.buckets : []))
        .map(({ timeUs, source, fields }) => [timeUs, source, fields.get('speed')!.count])
      const counts = new Map<string, number>()
      const width = 7 * given.scaleUs
      for (const { timeUs, source } of rowsOfFrames(made)) {
        if (timeUs < T0 + 3 || timeUs >= T0 + 300 * given.scaleUs) continue
        const bucket = Math.floor(timeUs / width) * width
        const key = JSON.stringify([bucket, by === 'source' ? source : ''])
        counts.set(key, (counts.get(key) ?? 0) + 1)
      }
      const expected = [...counts].map(([key, count]) => [...JSON.parse(key), count])
      const sign = given.order === 'asc' ? 1 : -1
      expected.sort((a, b) => sign * (a[0] - b[0] || (a[1] < b[1] ? -1 : 1)))
      expect(got).toEqual(expected)
    }),
    { numRuns: 200 },
  )
})
