// What an asker says about holes, quorums and stores that do not count.
import { describe, expect, test } from 'vitest'
import type { Coverage } from '../coverage.ts'
import { parseQuery, type RangeQuery } from './query.ts'
import { SILENT_US } from './query-coverage.ts'
import {
  collect,
  dataFrame,
  endFrame,
  epochOf,
  skipFrame,
  storeId,
  STREAM,
  T0,
  TestMesh,
} from './test-mesh.ts'

const SIGNAL = new AbortController().signal
const lane = { source: 'VH1', epoch: epochOf(1) }
const frame = (sequence: number) =>
  dataFrame({ ...lane, sequence }, [{ timeUs: T0 + sequence, fields: { speed: sequence } }])

async function read(mesh: TestMesh): Promise<{ speeds: unknown[]; coverage: Coverage }> {
  const query = parseQuery({ kind: 'range', stream: STREAM }, T0) as RangeQuery
  const { rows, coverage } = await mesh.asker.range(query, SIGNAL)
  const speeds = (await collect(rows)).map(({ fields }) => fields['speed'])
  return { speeds, coverage: await coverage }
}

describe('holes', () => {
  test('a hole in a living lane is missing, and the answer not complete', async () => {
    const mesh = new TestMesh(2)
    await mesh.stores[0]!.hold([frame(1), frame(4)])
    await mesh.stores[1]!.hold([frame(2)])
    const { speeds, coverage } = await read(mesh)
    expect(speeds).toEqual([1, 2, 4])
    expect(coverage.complete).toBe(false)
    expect(coverage.reasons).toEqual(['1 frame of 1 lanes are missing and may still arrive'])
    expect(coverage.gaps).toMatchObject([{ ...lane, missing: [3, 3], lost: [] }])
  })

  test('what the publisher skipped is closed, and a held frame beats a skip', async () => {
    const mesh = new TestMesh(2)
    await mesh.stores[0]!.hold([frame(1), skipFrame({ ...lane, sequence: 5 }, [[2, 4, 30]])])
    await mesh.stores[1]!.hold([frame(3)])
    const { speeds, coverage } = await read(mesh)
    expect(speeds).toEqual([1, 3])
    expect(coverage.complete).toBe(true)
    expect(coverage.gaps).toMatchObject([{ skipped: [2, 2, 4, 4], missing: [] }])
  })

  test('below an end frame, and after a day of silence, a hole is lost', async () => {
    const ended = new TestMesh(1)
    await ended.stores[0]!.hold([frame(1), endFrame({ ...lane, sequence: 3 })])
    expect((await read(ended)).coverage).toMatchObject({ complete: true, gaps: [{ lost: [2, 2] }] })

    const silent = new TestMesh(1)
    await silent.stores[0]!.hold([frame(2)])
    silent.nowUs = T0 + SILENT_US
    expect((await read(silent)).coverage).toMatchObject({ gaps: [{ missing: [1, 1], lost: [] }] })
    silent.nowUs += 1
    expect((await read(silent)).coverage).toMatchObject({ gaps: [{ missing: [], lost: [1, 1] }] })
  })
})

describe('who counts', () => {
  test('N - W + 1 stores must answer', async () => {
    const mesh = new TestMesh(3)
    for (const store of mesh.stores) await store.hold([frame(1)])
    mesh.stores[2]!.isDown = true
    expect((await read(mesh)).coverage).toMatchObject({ complete: true, needed: 2, answered: 2 })
    mesh.stores[1]!.isDown = true
    const { coverage } = await read(mesh)
    expect(coverage).toMatchObject({ complete: false, answered: 1 })
    expect(coverage.reasons).toContain(`store ${storeId(2)} did not answer: connection refused`)
  })

  test('a store that is being refilled, or is damaged, does not count', async () => {
    const mesh = new TestMesh(3)
    await mesh.stores[0]!.hold([frame(1), frame(2)])
    await mesh.stores[1]!.hold([frame(2)])
    mesh.stores[2]!.isDown = true
    mesh.stores[1]!.notCounted = 'it is still being refilled'
    const { coverage } = await read(mesh)
    expect(coverage.complete).toBe(false)
    expect(coverage.reasons.join()).toMatch('does not count: it is still being refilled')
  })

  test('damage found while reading is read from another store, else told', async () => {
    const mesh = new TestMesh(3, 1)
    await mesh.stores[0]!.hold([frame(1), frame(2), frame(3)])
    mesh.stores[0]!.store.spoil(frame(2).laneKey, 2)
    const alone = await read(mesh)
    expect(alone.speeds).toEqual([1, 3])
    expect(alone.coverage.complete).toBe(false)
    expect(alone.coverage.gaps).toMatchObject([{ unreachable: [2, 2] }])
    expect(alone.coverage.reasons.join()).toMatch(/damaged: crc/)

    const both = new TestMesh(3, 1)
    await both.stores[0]!.hold([frame(1), frame(2), frame(3)])
    await both.stores[1]!.hold([frame(1), frame(2), frame(3)])
    both.stores[0]!.store.spoil(frame(2).laneKey, 2)
    both.stores[1]!.store.spoil(frame(2).laneKey, 3)
    expect((await read(both)).speeds).toEqual([1, 2, 3])
  })

  test('a mesh of fewer stores than W is never complete', async () => {
    const mesh = new TestMesh(1, 2)
    await mesh.stores[0]!.hold([frame(1)])
    expect((await read(mesh)).coverage.complete).toBe(false)
  })

  test('nobody there, and a stream nobody knows, are errors', async () => {
    const mesh = new TestMesh(2)
    await mesh.stores[0]!.hold([frame(1)])
    const query = parseQuery({ kind: 'range', stream: 'vehicle.moton' }, T0) as RangeQuery
    await expect(mesh.asker.range(query, SIGNAL)).rejects.toMatchObject({
      code: 'QUERY_STREAM_UNKNOWN',
      message: expect.stringMatching(
        /known to the 2 stores that answered\. Did you mean "vehicle\.motion"\? There are: vehicle\.motion\.$/,
      ),
      details: { stream: 'vehicle.moton', streams: ['vehicle.motion'] },
    })
    for (const store of mesh.stores) store.isDown = true
    await expect(read(mesh)).rejects.toMatchObject({ code: 'QUERY_NO_PEER', retryable: true })
  })
})
