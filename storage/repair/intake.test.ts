import { expect, test } from 'vitest'
import { FakeClock } from '../../mesh/fake-clock.ts'
import { MemoryStore } from '../conformance/memory-store.ts'
import type { StoredFrame } from '../frame-store.ts'
import { dataFrame, epochOf, T0 } from '../query/test-mesh.ts'
import { RepairIntake } from './intake.ts'
import { Writer } from '../writer.ts'

const frame = (sequence: number, speed = 1) =>
  dataFrame({ source: 'VH1', epoch: epochOf(1), sequence }, [{ timeUs: T0, fields: { speed } }])
const stored = (sequence: number, speed?: number): StoredFrame => {
  return { frame: frame(sequence, speed), ingestUs: 7 }
}
const FRAME_BYTES = frame(1).bytes.length

class World {
  readonly store = new MemoryStore()
  readonly intake: RepairIntake
  readonly writer: Writer<string>

  constructor(bytesMax: number, budgetBytes = 1 << 20) {
    this.intake = new RepairIntake(() => this.writer, bytesMax)
    this.writer = new Writer<string>({
      store: this.store,
      clock: new FakeClock(),
      commitIntervalMs: 0,
      budgetBytes,
      onCommitted: (results) => this.intake.committed(results),
    })
  }
}

test('each frame is counted as what became of it, live frames in the same batch are not', async () => {
  const { store, intake, writer } = new World(1 << 20)
  writer.offer(frame(1), 'live')
  const offered = [stored(1), stored(2), stored(2), stored(1, 9)]
  expect(offered.map((one) => intake.offer(one))).toEqual(Array(4).fill('queued'))
  await intake.settled()
  expect(intake.counters).toEqual({
    pulledFrames: 1,
    pulledBytes: FRAME_BYTES,
    conflicts: 1,
    refusedFrames: 0,
  })
  for await (const { ingestUs } of store.read(frame(2).laneKey, 2, 2)) expect(ingestUs).toBe(7)
  await writer.close()
  expect(intake.offer(stored(3))).toBe('refused')
  expect(intake.counters.refusedFrames).toBe(1)
})

test('no more waits than it may have waiting; there is room again after a batch', async () => {
  const { intake, writer } = new World(2 * FRAME_BYTES)
  expect([1, 2, 3].map((n) => intake.offer(stored(n)))).toEqual(['queued', 'queued', 'full'])
  await intake.room()
  expect(intake.offer(stored(3))).toBe('queued')
  await intake.settled()
  expect(intake.counters.pulledFrames).toBe(3)
  await writer.close()
})

test('a writer full of live frames makes it wait, and nothing is refused', async () => {
  const { intake, writer } = new World(1 << 20, FRAME_BYTES)
  writer.offer(frame(1), 'live')
  expect(intake.offer(stored(2))).toBe('full')
  await intake.room()
  expect(intake.offer(stored(2))).toBe('queued')
  await intake.settled()
  expect(intake.counters).toMatchObject({ pulledFrames: 1, refusedFrames: 0 })
  await writer.close()
})
