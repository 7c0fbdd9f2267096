// What a store does with batches from a broker. Links are covered by the tests with real processes.
import { afterEach, describe, expect, test } from 'vitest'
import { encodeFrame, type SchemaId } from '../mesh/index.ts'
import { MemoryStore } from './conformance/memory-store.ts'
import { EPOCHS, START_US, testFrame, testRun } from './conformance/test-frames.ts'
import { bytesOf, IngestWorld, type IngestWorldOptions } from './conformance/test-ingest.ts'

const SCHEMA = 'c0c0c0c0c0c0c0c0' as SchemaId

type Options = Omit<IngestWorldOptions<MemoryStore>, 'store'>

function withSchema(schemaId: SchemaId, source: string): Buffer {
  return encodeFrame(
    {
      kind: 'data',
      codec: 'json',
      source,
      stream: 'vehicle.motion',
      epoch: EPOCHS[0]!,
      sequence: 1,
      firstUs: START_US,
      lastUs: START_US,
      count: 1,
      schemaId,
    },
    Buffer.from('[]'),
  )
}

describe('ingest from a broker', () => {
  let world: IngestWorld

  const started = async (options: Options = {}): Promise<IngestWorld> => {
    world = new IngestWorld({ ...options, store: new MemoryStore() })
    await world.ingest.start()
    return world
  }

  afterEach(() => world.ingest.stop())

  test('a batch is finished when all of it is synced', async () => {
    const { store } = await started()
    expect(await world.given(bytesOf(testRun(20)), 1_000)).toBe('taken')
    expect([...store.lanes()].map(({ held }) => held.size)).toEqual([20])
    expect(world.acknowledged()).toBe(1)
  })

  test('many lanes and a small limit - acks are cut, and all is acknowledged', async () => {
    await started()
    world.broker.messageBytesMax = 10_000
    const sources = Array.from({ length: 1_000 }, (_, i) => `source-${i}-${'x'.repeat(40)}`)
    const frames = sources.map((source) => testFrame({ source }))
    expect(await world.given(bytesOf(frames), 1_000)).toBe('taken')
    expect(world.acks.length).toBeGreaterThan(5)
    expect(Math.max(...world.acks.map(({ length }) => length))).toBeLessThanOrEqual(10_000)
    expect(world.acknowledged()).toBe(1_000)
  })

  test('a frame larger than the whole budget - is taken alone, and stops nothing', async () => {
    await started({ budgetBytes: 1_000 })
    const large = testFrame({ sequence: 1, body: 'x'.repeat(5_000) })
    const frames = bytesOf([large, ...testRun(10, { sequence: 2 })])
    expect(await world.given(frames, 2_000)).toBe('taken')
    expect([...world.store.lanes()].map(({ held }) => held.size)).toEqual([11])
  })

  test('schemas that do not come - all frames wait for them together, then go without', async () => {
    await started()
    const unknown = Array.from({ length: 8 }, (_, i) => `${i + 1}`.repeat(16) as SchemaId)
    const frames = unknown.map((id, i) => withSchema(id, `s${i}`))
    const known = bytesOf(testRun(1))
    const before = world.clock.monotonicMs()
    expect(await world.given([...frames, ...known], 20_000)).toBe('taken')
    expect(world.clock.monotonicMs() - before).toBeLessThan(6_000)
    expect(new Set(world.asked)).toEqual(new Set(unknown))
    expect(world.ingest.counters.unknownSchemas).toBe(8)
    // They are not waited for again so soon.
    const again = world.clock.monotonicMs()
    expect(await world.given(frames, 20_000)).toBe('taken')
    expect(world.clock.monotonicMs() - again).toBeLessThan(200)
  })

  test('a schema that comes a little later - is waited for, and nobody is asked', async () => {
    const schemas = new Set<SchemaId>()
    await started({ schemas })
    world.clock.startTimer(100, () => schemas.add(SCHEMA))
    expect(await world.given([withSchema(SCHEMA, 's')], 2_000)).toBe('taken')
    expect(world.asked).toEqual([])
    expect(world.acknowledged()).toBe(1)
  })

  test('no member - the broker is to give it again', async () => {
    await started({ isMember: () => false })
    expect(await world.given(bytesOf(testRun(3)), 1_000)).toBe('again')
    expect(world.acks).toEqual([])
  })

  test('a disk that fails - the broker is to give it again, and nothing is acknowledged', async () => {
    await started()
    world.store.append = () => Promise.reject(new Error('EIO'))
    expect(await world.given(bytesOf(testRun(3)), 1_000)).toBe('again')
    expect(world.acks).toEqual([])
  })

  test('closed in the middle of waiting - the broker is to give it again', async () => {
    await started()
    world.clock.startTimer(300, () => void world.ingest.stop())
    expect(await world.given([withSchema(SCHEMA, 's')], 3_000)).toBe('again')
  })
})
