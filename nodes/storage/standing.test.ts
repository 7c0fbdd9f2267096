import { expect, test } from 'vitest'
import { defaultConfig } from '../config/config.ts'
import type { StoreId, StoreView } from '../../mesh/index.ts'
import { takenShards, whyWaiting } from './standing.ts'

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

const view = (id: string, of: Partial<StoreView> = {}): StoreView => ({
  storeId: id.repeat(16) as StoreId,
  peer: undefined,
  name: undefined,
  http: undefined,
  leaving: false,
  suspect: false,
  refusing: undefined,
  grantBytes: undefined,
  ...of,
})

test('takenShards - each shard by two stores; one that is away is stood in for, one that leaves takes none', () => {
  const all = ['a', 'b', 'c', 'd'].map((id) => view(id))
  const taken = (stores: readonly StoreView[]): number[] =>
    stores.map(({ storeId }) => takenShards(stores, storeId, 2).size)
  const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0)
  expect(sum(taken(all))).toBe(2 * 64)
  const before = all.map(({ storeId }) => takenShards(all, storeId, 2))
  const away = all.map((store, i) => (i === 0 ? { ...store, suspect: true } : store))
  for (const [i, { storeId }] of away.entries()) {
    // What one has it keeps; what the absent one has goes to the next in each ranking.
    const now = takenShards(away, storeId, 2)
    if (i > 0) expect([...before[i]!].every((shard) => now.has(shard))).toBe(true)
  }
  expect(sum(taken(away).slice(1))).toBe(2 * 64)
  const leaving = all.map((store, i) => (i === 0 ? { ...store, leaving: true } : store))
  expect(sum(taken(leaving).slice(1))).toBe(2 * 64)
  expect(taken(leaving)[0]).toBe(0)
})
