import { expect, test } from 'vitest'
import { FakeClock } from '../mesh/fake-clock.ts'
import { seldom } from './seldom.ts'

test('a warning that comes again and again is said at once, then every 10 s with its count', async () => {
  const clock = new FakeClock()
  const said: string[] = []
  const warn = seldom(clock, (message) => said.push(message))
  for (let n = 1; n <= 4; n++) {
    warn(`sample ${n}`)
    await clock.advance(1_000)
  }
  expect(said).toEqual(['sample 1'])
  await clock.advance(10_000)
  expect(said).toEqual(['sample 1', 'sample 4 (3 times in 10 s)'])
  await clock.advance(60_000)
  warn('sample 5')
  expect(said).toHaveLength(3)
  expect(said[2]).toBe('sample 5')
})
