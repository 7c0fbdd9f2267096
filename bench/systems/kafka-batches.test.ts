import { describe, expect, test } from 'vitest'
import { HEAD_BYTES, recordBytes } from '../../mesh/transports/kafka-records.ts'
import { PartitionQueue } from './kafka-batches.ts'
import { Shrinking } from './kafka-shrinking.ts'

const LINGER_MS = 5
const entry = { key: Buffer.from('vehicle-1'), value: Buffer.alloc(100) }
/** Room for three of these records. */
const BATCH_BYTES = HEAD_BYTES + 3 * recordBytes(entry, 0)

const newQueue = (): PartitionQueue =>
  new PartitionQueue(0, {
    batchBytes: BATCH_BYTES,
    lingerMs: LINGER_MS,
    shrinking: new Shrinking(false),
  })

function append(queue: PartitionQueue, times: number, nowMs = 0): boolean[] {
  return Array.from({ length: times }, (_, timeUs) => queue.append(entry, [{ timeUs }], nowMs))
}

/** Sends the next batch; its sequence and how many records it has. */
function send(queue: PartitionQueue): [number | undefined, number] {
  const batch = queue.next()!
  queue.send(batch)
  return [batch.sequence, batch.entries.length]
}

describe('batches', () => {
  test('one is full when the next record has no room', () => {
    const queue = newQueue()
    expect(queue.dueMs()).toBeUndefined()
    expect(append(queue, 3, 10)).toEqual([false, false, false])
    expect(queue.dueMs()).toBe(10 + LINGER_MS)
    expect(append(queue, 1, 11)).toEqual([true])
    expect(queue.dueMs()).toBe(10)
    expect(send(queue)).toEqual([0, 3])
    expect(queue.dueMs()).toBe(11 + LINGER_MS)
  })

  test('a record larger than a batch has one of its own', () => {
    const queue = newQueue()
    const large = { ...entry, value: Buffer.alloc(10 * BATCH_BYTES) }
    expect(queue.append(large, [], 0)).toBe(false)
    expect(queue.append(entry, [], 0)).toBe(true)
    expect(send(queue)).toEqual([0, 1])
  })

  test('what is sent takes no more, and is confirmed in order', () => {
    const queue = newQueue()
    append(queue, 2)
    expect(send(queue)).toEqual([0, 2])
    append(queue, 1)
    expect(send(queue)).toEqual([2, 1])
    expect(queue.confirm().sequence).toBe(0)
    expect(queue.confirm().sequence).toBe(2)
    expect(queue.next()).toBeUndefined()
  })

  test('after a lost connection the same batches leave again, at once and with their sequences', () => {
    const queue = newQueue()
    append(queue, 2)
    send(queue)
    append(queue, 1)
    send(queue)
    queue.rewind()
    append(queue, 1, 20)
    expect(queue.dueMs()).toBe(0)
    expect([send(queue), send(queue), send(queue)]).toEqual([
      [0, 2],
      [2, 1],
      [3, 1],
    ])
  })

  test('for a new producer the sequences begin again', () => {
    const queue = newQueue()
    append(queue, 3)
    send(queue)
    queue.confirm()
    append(queue, 2)
    send(queue)
    append(queue, 1)
    queue.rewind()
    queue.renumber()
    expect([send(queue), send(queue)]).toEqual([
      [0, 2],
      [2, 1],
    ])
  })
})

test('a compressed batch takes more, once batches have shown how they shrink', () => {
  const shrinking = new Shrinking(true)
  expect(shrinking.expected(1_000)).toBeGreaterThan(1_000)
  for (let batches = 0; batches < 200; batches++) shrinking.learn(1_000, 200)
  expect(shrinking.expected(1_000)).toBeCloseTo(210)
  shrinking.learn(1_000, 210)
  expect(shrinking.expected(1_000)).toBeCloseTo(262.5)
})
