import { expect, test } from 'vitest'
import { IntervalSet, shardOf } from '../../mesh/index.ts'
import { MemoryStore } from '../conformance/memory-store.ts'
import { dataFrame, epochOf, T0 } from '../query/test-mesh.ts'
import { Fingerprints } from './fingerprints.ts'

const NOTHING = '0'.repeat(16)
const frame = (sequence: number, source = 'VH1') =>
  dataFrame({ source, epoch: epochOf(1), sequence }, [{ timeUs: T0, fields: { speed: 1 } }])
const { laneKey } = frame(1)
const shard = shardOf('VH1')

/** What a store says of the shard of VH1 that took these frames one by one. */
async function storeOf(...names: readonly (readonly [number, string?])[]): Promise<MemoryStore> {
  const store = new MemoryStore()
  for (const [sequence, source] of names) {
    await store.append([{ frame: frame(sequence, source), ingestUs: T0 }])
  }
  return store
}
const of = (store: MemoryStore): string => new Fingerprints(store).all()[shard]!

test('fingerprints are equal for equal contents, in whatever order they came', async () => {
  const one = await storeOf([1], [2], [3])
  expect(of(one)).toMatch(/^[0-9a-f]{16}$/)
  expect(of(one)).toBe(of(await storeOf([3], [1], [2])))
  expect(new Fingerprints(new MemoryStore()).all()).toEqual(Array(64).fill(NOTHING))
})

test('they differ with every run held, trimmed or skipped, and with the end', async () => {
  const held = await storeOf([1], [2])
  const hole = await storeOf([1], [3])
  const trimmed = await storeOf([1], [2])
  trimmed.trim(laneKey, new IntervalSet([2, 2]))
  const learnt = { trimmed: new IntervalSet(), skipped: new IntervalSet(), lastIngestUs: T0 }
  const skipped = await storeOf([1], [2])
  await skipped.learnGone(frame(1), { ...learnt, skipped: new IntervalSet([3, 3]), ended: 0 })
  const ended = await storeOf([1], [2])
  await ended.learnGone(frame(1), { ...learnt, ended: 2 })
  const all = [held, hole, trimmed, skipped, ended, await storeOf([1])].map(of)
  expect(new Set([...all, NOTHING]).size).toBe(7)
})

test('a held frame beats a skip: whether its skip is known makes no difference', async () => {
  const held = await storeOf([1], [2])
  const before = of(held)
  const skipped = new IntervalSet([2, 2])
  const trimmed = new IntervalSet()
  await held.learnGone(frame(1), { trimmed, skipped, ended: 0, lastIngestUs: T0 })
  expect(of(held)).toBe(before)
})

test('a change is seen, and only in its own shard', async () => {
  const store = await storeOf([1], [1, 'VH2'])
  const fingerprints = new Fingerprints(store)
  const before = fingerprints.all()
  expect(fingerprints.all()).toBe(before)
  await store.append([{ frame: frame(2), ingestUs: T0 }])
  const after = fingerprints.all()
  expect(after.filter((each, i) => each !== before[i])).toEqual([after[shard]])
})

test('two lanes that have changed places do not cancel each other out', async () => {
  const one = await storeOf([1], [2], [1, 'VH2'])
  const other = await storeOf([1], [1, 'VH2'], [2, 'VH2'])
  const both = [one, other].map((store) => new Fingerprints(store).all().join())
  expect(both[0]).not.toBe(both[1])
})
