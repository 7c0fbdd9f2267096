import { expect, test } from 'vitest'
import { systemClock } from '../mesh/index.ts'
import { MemoryStore } from './conformance/memory-store.ts'
import { dataFrame, epochOf, T0 } from './query/test-mesh.ts'
import { RepairIntake } from './repair-intake.ts'
import { Writer } from './writer.ts'

const frame = (sequence: number, speed = 1) =>
  dataFrame({ source: 'VH1', epoch: epochOf(1), sequence }, [{ timeUs: T0, fields: { speed } }])

test('each frame is told what became of it, beside live frames in the same batch', async () => {
  const store = new MemoryStore()
  const intake: RepairIntake = new RepairIntake(() => writer)
  const writer = new Writer<string>({
    store,
    clock: systemClock,
    onCommitted: (results) => intake.committed(results),
  })
  writer.offer(frame(1), 'live')
  const outcomes = [frame(1), frame(2), frame(2), frame(1, 9)].map((one) =>
    intake.keep({ frame: one, ingestUs: 7 }),
  )
  // Both were asked under one name, so whose answer is whose does not matter; but both get one.
  expect((await Promise.all(outcomes)).toSorted()).toEqual([
    'conflict',
    'duplicate',
    'duplicate',
    'stored',
  ])
  for await (const { ingestUs } of store.read(frame(2).laneKey, 2, 2)) expect(ingestUs).toBe(7)
  await writer.close()
  expect(await intake.keep({ frame: frame(3), ingestUs: 7 })).toBe('refused')
})
