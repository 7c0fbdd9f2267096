import { expect, test } from 'vitest'
import { whyWaiting } from './standing.ts'

const SEEDS = ['tcp://10.0.0.1:7701', 'tcp://10.0.0.2:7701']
const HOW_TO_FOUND =
  /If the mesh is new, one store has to found it: .*--bind tcp:\/\/10\.0\.0\.1:7701 --seed tcp:\/\/10\.0\.0\.1:7701$/

test('whyWaiting - nobody answers: the seeds tried, and how a mesh is founded', () => {
  const why = whyWaiting([], SEEDS)
  expect(why).toMatch(/^no store answers at tcp:\/\/10\.0\.0\.1:7701, tcp:\/\/10\.0\.0\.2:7701\. /)
  expect(why).toMatch(HOW_TO_FOUND)
})

test('whyWaiting - all others wait as well: nobody has founded the mesh', () => {
  const why = whyWaiting([{ joined: false }, { joined: false }], SEEDS)
  expect(why).toMatch(/^2 stores answer, waiting too, at /)
  expect(why).toMatch(HOW_TO_FOUND)
})

test('whyWaiting - there is a mesh: for the word of its stores', () => {
  const why = whyWaiting([{ joined: false }, { joined: true }], SEEDS)
  expect(why).toBe('waiting for the other stores to confirm this one')
})
