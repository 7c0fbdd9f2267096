import { expect, it } from 'vitest'
import { sampleBytes } from './sample-bytes.ts'

it('counts what a sample takes in each encoding, and a frame of many takes the least', () => {
  const [table] = sampleBytes().tables!
  expect(table!.rows.map(([name]) => name)).toEqual([
    'vehicle, 1 a frame',
    'vehicle, 100 a frame',
    'truck, 1 a frame',
    'truck, 100 a frame',
  ])
  const [single, many] = table!.rows.map((row) => row.slice(1).map(Number))
  expect(many![0]).toBeLessThan(single![0]! / 5)
  // The others go one by one, however many are ready.
  expect(many![1]).toBeCloseTo(single![1]!, 0)
})
