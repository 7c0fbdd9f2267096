// How a storage peer stands in the mesh: whether it acknowledges, whether it counts as having answered,
// which shards are its own. Each "no" is a sentence that people read in /healthz and `skein status`.
import {
  currentMembers,
  rankStores,
  SHARDS,
  takersNow,
  type MemberTable,
  type MemberWitness,
  type StoreId,
  type StoreView,
} from '../../mesh/index.ts'
import type { Repair, StoreMember } from '../../storage/index.ts'
import type { Config } from '../config/config.ts'
import { needsFounder } from '../transport.ts'
import type { StoreDisk } from './disk.ts'

/** Why this store acknowledges nothing; undefined when it does. */
export function whyRefusing(
  disk: StoreDisk,
  member: StoreMember,
  waiting: () => string,
): string | undefined {
  const health = disk.writer.health()
  if (health.state === 'failing') return `${health.code}: ${health.reason}`
  if (member.isLeaving) return 'this store is leaving the mesh'
  return member.joined ? undefined : waiting()
}

/** What a store that has not joined waits for, as far as it can tell from the stores it hears. */
export function whyWaiting(
  witnesses: readonly Pick<MemberWitness, 'joined'>[],
  { seeds, mesh, transport }: Pick<Config, 'seeds' | 'mesh' | 'transport'>,
): string {
  if (witnesses.some(({ joined }) => joined)) {
    return 'waiting for the other stores to confirm this one'
  }
  const [first] = seeds
  const others = witnesses.length
  const answering = others === 1 ? '1 store answers' : `${others} stores answer`
  const none = mesh.key === undefined ? 'no store answers' : 'no store with this mesh.key answers'
  const heard = others === 0 ? none : `${answering}, waiting too,`
  if (needsFounder(transport.name)) {
    return (
      `${heard} over ${transport.name}. If the mesh is new, one store has to found it: that is ` +
      `${mesh.founder} (mesh.founder), so start one of that name`
    )
  }
  return (
    `${heard} at ${seeds.join(', ')}. If the mesh is new, one store has to found it: start that one ` +
    `with its own address (zeromq.bind or zeromq.advertise) as its only seed: --bind ${first} --seed ${first}`
  )
}

/** Why an answer of this store does not count for coverage; undefined when it does. */
export function whyNotCounted(member: StoreMember, repair: Repair): string | undefined {
  if (member.isLeaving) return 'it is leaving the mesh'
  if (!member.joined) return 'it has not joined the mesh'
  if (!repair.caughtUp) return 'it is still catching up'
  return undefined
}

/** The shards that a store takes as things are: its own, and those of stores that are away. */
export function takenShards(
  stores: readonly StoreView[],
  storeId: StoreId,
  replicas: number,
): ReadonlySet<number> {
  const takers = takersNow(stores, replicas, storeId)
  return new Set(takers.flatMap((stores, shard) => (stores.includes(storeId) ? shard : [])))
}

/** The shards among whose first `replicas` stores this one is. */
export function ownedShards(table: MemberTable, storeId: StoreId, replicas: number): number[] {
  const stores = currentMembers(table).filter((id) => table.get(id) === 'member')
  const owned: number[] = []
  for (let shard = 0; shard < SHARDS; shard++) {
    if (rankStores(shard, stores).slice(0, replicas).includes(storeId)) owned.push(shard)
  }
  return owned
}
