import { expect, test } from 'vitest'
import { testFrame } from './conformance/test-frames.ts'
import { UnderWay } from './under-way.ts'

test('UnderWay - finds what was added by its name, until it is deleted', () => {
  const underWay = new UnderWay()
  const single = testFrame({ source: 'VH002', sequence: 7 })
  const first = [3, 9, 4].map((sequence) => testFrame({ sequence }))
  const second = [5, 10].map((sequence) => testFrame({ sequence }))
  underWay.add([...first, single])
  underWay.add(second)
  const has = (sequence: number, source = 'VH001'): boolean =>
    underWay.find(testFrame({ sequence, source, body: 'other bytes' }).frame) !== undefined
  expect([3, 9, 4, 5, 10].map((n) => has(n))).toEqual([true, true, true, true, true])
  expect([1, 6, 11].map((n) => has(n))).toEqual([false, false, false])
  expect([has(7, 'VH002'), has(6, 'VH002'), has(3, 'VH002')]).toEqual([true, false, false])
  expect(underWay.find(first[1]!.frame)).toBe(first[1]!.frame)
  underWay.delete([...first, single])
  expect([3, 9, 4, 7].map((n) => has(n))).toEqual([false, false, false, false])
  expect([has(5), has(10), has(7, 'VH002')]).toEqual([true, true, false])
  underWay.delete(second)
  underWay.add([single])
  expect([has(5), has(7, 'VH002')]).toEqual([false, true])
})
