import { expect, it } from 'vitest'
import { openFrame, type Frame } from '../mesh/index.ts'
import { BatchQueue } from './batch-queue.ts'
import { testFrame } from './conformance/test-frames.ts'

const frame = (sequence: number): Frame => testFrame({ source: 'VH001', sequence }).frame

function fill(queue: BatchQueue<number>, from: number, count: number): void {
  for (let i = 0; i < count; i++) queue.push(frame(from + i), i, 0, 'synced')
}

it('keeps a copy of each frame until its batch is recycled, also while the next ones come', () => {
  const queue = new BatchQueue<number>()
  fill(queue, 1, 1_000)
  const first = queue.take()
  fill(queue, 1_001, 1_000)
  const second = queue.take()
  for (const [batch, from] of [
    [first, 1],
    [second, 1_001],
  ] as const) {
    const sequences = batch.frames.map(({ frame: { bytes } }) => openFrame(bytes).sequence)
    expect(sequences).toEqual(Array.from({ length: 1_000 }, (_, i) => from + i))
  }
})

it('copies into the memory of batches that are done', () => {
  const queue = new BatchQueue<number>()
  const memory = new Set<ArrayBufferLike>()
  for (let round = 0; round < 100; round++) {
    fill(queue, 1, 10)
    const batch = queue.take()
    for (const { frame: copied } of batch.frames) memory.add(copied.bytes.buffer)
    queue.recycle(batch)
  }
  expect(memory.size).toBe(1)
})
