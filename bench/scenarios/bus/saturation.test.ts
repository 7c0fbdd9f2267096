import { expect, test } from 'vitest'
import { saturatedPart } from './saturation.ts'
import { busRun } from './testing.ts'

const with2Cores = (cpuSeconds: Readonly<Record<string, number>>): string =>
  saturatedPart([busRun({ cpuSeconds })], 2)

test('the machine, when its cores are used up', () => {
  expect(with2Cores({ 'storage-1': 0.4, 'storage-2': 0.6, 'publisher-1': 0.9 })).toBe('the machine')
})

test('a process, when it has used up a core, not several that have one together', () => {
  expect(with2Cores({ kafka: 0.3, 'publisher-1': 0.97 })).toBe('a publisher')
  expect(with2Cores({ kafka: 0.3, 'publisher-1': 0.5, 'publisher-2': 0.5 })).toBe('none')
})

test('nothing is said without a run that counts', () => {
  expect(saturatedPart([busRun({ voids: ['1 samples lost'] })], 2)).toBe('–')
})
