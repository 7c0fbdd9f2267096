import { expect, test } from 'vitest'
import { defaultConfig } from '../config/config.ts'
import { whyWaiting } from './standing.ts'

const CONFIG = {
  ...defaultConfig,
  seeds: ['tcp://10.0.0.1:7701', 'tcp://10.0.0.2:7701'],
}
const HOW_TO_FOUND =
  /If the mesh is new, one store has to found it: .*--bind tcp:\/\/10\.0\.0\.1:7701 --seed tcp:\/\/10\.0\.0\.1:7701$/

test('whyWaiting - nobody answers: the seeds tried, and how a mesh is founded', () => {
  const why = whyWaiting([], CONFIG)
  expect(why).toMatch(/^no store answers at tcp:\/\/10\.0\.0\.1:7701, tcp:\/\/10\.0\.0\.2:7701\. /)
  expect(why).toMatch(HOW_TO_FOUND)
})

test('whyWaiting - all others wait as well: nobody has founded the mesh', () => {
  const why = whyWaiting([{ joined: false }, { joined: false }], CONFIG)
  expect(why).toMatch(/^2 stores answer, waiting too, at /)
  expect(why).toMatch(HOW_TO_FOUND)
})

test('whyWaiting - there is a mesh: for the word of its stores', () => {
  const why = whyWaiting([{ joined: false }, { joined: true }], CONFIG)
  expect(why).toBe('waiting for the other stores to confirm this one')
})

test('whyWaiting - without seeds: who founds the mesh is said by name', () => {
  const transport = { name: 'nats', servers: [], replicas: 1, maxAge: 1, maxBytes: 1 } as const
  const why = whyWaiting([], { ...CONFIG, transport: { ...transport, servers: [] } })
  expect(why).toBe(
    'no store answers over nats. If the mesh is new, one store has to found it: that is storage-1 (mesh.founder), so start one of that name',
  )
})
