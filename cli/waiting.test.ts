import { expect, test } from 'vitest'
import { FakeClock } from '../mesh/fake-clock.ts'
import { tellTrouble } from './waiting.ts'

test('trouble that lasts - is said after 3 s, then each minute, and anew when it comes back', async () => {
  const clock = new FakeClock()
  const said: string[] = []
  let trouble: string | undefined = 'no store answers'
  const telling = tellTrouble(
    () => trouble,
    (message) => said.push(message),
    { clock },
  )
  await clock.advance(2_900)
  expect(said).toEqual([])
  await clock.advance(200)
  expect(said).toEqual(['no store answers'])
  await clock.advance(119_000)
  expect(said).toHaveLength(2)
  trouble = undefined
  await clock.advance(120_000)
  expect(said).toHaveLength(2)
  trouble = 'one store answers'
  await clock.advance(4_000)
  expect(said.slice(2)).toEqual(['one store answers'])
  telling[Symbol.dispose]()
  await clock.advance(120_000)
  expect(said).toHaveLength(3)
})
