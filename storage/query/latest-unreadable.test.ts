// `latest` where the newest frame of a source cannot be read: the newest sample that can be, and the
// truth about the rest.
import { expect, test } from 'vitest'
import type { Coverage } from '../coverage.ts'
import { parseQuery, type LatestQuery } from './query.ts'
import { collect, dataFrame, epochOf, STREAM, T0, TestMesh, undecodableFrame } from './test-mesh.ts'

const SIGNAL = new AbortController().signal

const name = (sequence: number, source = 'VH1') => ({ source, epoch: epochOf(1), sequence })
const good = (sequence: number, source = 'VH1') =>
  dataFrame(name(sequence, source), [
    { timeUs: T0 + sequence * 1_000_000, fields: { speed: sequence } },
  ])
const bad = (sequence: number) => undecodableFrame(name(sequence), T0 + sequence * 1_000_000)

async function latest(mesh: TestMesh, extra: object = {}) {
  const query = parseQuery({ kind: 'latest', stream: STREAM, ...extra }, T0) as LatestQuery
  const { rows, coverage } = await mesh.asker.latest(query, SIGNAL)
  const newest = (await collect(rows)).map(({ source, fields }) => [source, fields['speed']])
  return { newest, coverage: await coverage }
}

const unreachable = ({ gaps }: Coverage): unknown[] =>
  gaps.map((gap) => [gap.source, gap.unreachable])

test('a newest frame that nobody can decode: the sample before it, and the answer says so', async () => {
  const mesh = new TestMesh(2)
  const frames = [good(1), good(2), bad(3), bad(4), good(1, 'VH2')]
  for (const store of mesh.stores) await store.hold(frames)
  const { newest, coverage } = await latest(mesh)
  expect(newest).toEqual([
    ['VH1', 2],
    ['VH2', 1],
  ])
  expect(unreachable(coverage)).toEqual([['VH1', [3, 4]]])
  expect(coverage.complete).toBe(false)
  expect(coverage.reasons.join()).toMatch(/2 frames could not be read.*codec columnar: /)
})

test('a frame too old to be asked for is not looked at', async () => {
  const mesh = new TestMesh(2)
  for (const store of mesh.stores) await store.hold([bad(1), good(1, 'VH2'), good(2, 'VH2')])
  const { newest, coverage } = await latest(mesh, { from: `${T0 + 1_500_000}us` })
  expect(newest).toEqual([['VH2', 2]])
  expect(coverage).toMatchObject({ complete: true, gaps: [] })
})

test('what one store has lost, found when it started, is read from another', async () => {
  const mesh = new TestMesh(2)
  const [first, second] = mesh.stores
  for (const store of mesh.stores) await store.hold([good(1), good(2)])
  for (const store of mesh.stores) store.frames.length = 0
  first!.store.spoil(good(2).laneKey, 2)
  expect((await latest(mesh)).newest).toEqual([['VH1', 2]])
  second!.isDown = true
  const { newest, coverage } = await latest(mesh)
  expect(newest).toEqual([['VH1', 1]])
  expect(coverage.complete).toBe(false)
})

test('a long run of such frames is not read to its end, and the source is called unreadable', async () => {
  const mesh = new TestMesh(2)
  const frames = [good(1), ...Array.from({ length: 2_000 }, (_, i) => bad(i + 2))]
  let scans = 0
  for (const store of mesh.stores) {
    await store.hold([...frames, good(1, 'VH2')])
    const { peer } = store
    const scan = peer.scan.bind(peer)
    peer.scan = (request, signal) => {
      scans += 1
      return scan(request, signal)
    }
  }
  const { newest, coverage } = await latest(mesh)
  expect(newest).toEqual([['VH2', 1]])
  expect(unreachable(coverage)).toEqual([['VH1', [1, 2_001]]])
  expect(coverage.reasons.join()).toMatch(
    /frames of VH1 cannot be read.*none before them was tried/,
  )
  expect(scans).toBeLessThan(6)
})
