import { expect, test } from 'vitest'
import { Pipe, type PipeOptions } from './pipe.ts'

/** Six frames of 10 bytes. */
const frames: PipeOptions['frames'] = {
  count: 6,
  bytesOf: () => 10,
  frame: (index, pass) => Buffer.from([index, pass]),
}
const pipe = (changes: Partial<PipeOptions> = {}): Pipe =>
  new Pipe({ frames, inFlightBytes: 40, firstFrame: 0, ...changes })
const numbers = (taken: readonly { index: number; pass: number }[]): number[] =>
  taken.map(({ index, pass }) => pass * frames.count + index)

test('no more than so many bytes without their ack, and no more than is granted', () => {
  const own = pipe()
  expect(numbers(own.take(Infinity, 20))).toEqual([0, 1])
  expect(numbers(own.take(Infinity, 1_000))).toEqual([2, 3])
  expect(own.take(Infinity, 1_000)).toEqual([])
  own.acked(10)
  expect(numbers(own.take(Infinity, 1_000))).toEqual([4])
  own.grantBytes = 20
  own.acked(10)
  own.acked(10)
  expect(own.take(Infinity, 1_000)).toEqual([])
  own.acked(10)
  expect(numbers(own.take(Infinity, 1_000))).toEqual([5])
})

test('those of other places are left out, pass after pass', () => {
  const own = pipe({ indexes: Uint32Array.of(1, 4), firstFrame: 2 })
  expect(numbers(own.take(Infinity, 1_000))).toEqual([4, 7, 10, 13])
})

test('is done when all before the end are acknowledged, of which it may have none', () => {
  const own = pipe({ indexes: Uint32Array.of(1, 4) })
  own.take(3, 1_000)
  expect(own.isDone(3)).toBe(false)
  own.acked(10)
  expect(own.isDone(3)).toBe(true)
  expect(own.isDone(6)).toBe(false)
  expect(pipe({ indexes: new Uint32Array() }).isDone(6)).toBe(true)
})
