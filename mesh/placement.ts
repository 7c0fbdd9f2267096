// Who keeps what. A source belongs to one shard for ever; a shard's stores are ranked by rendezvous
// hashing, so that a store that joins or leaves moves only its own share. Everybody computes the
// same ranking from the same members; views that differ for a while cost a copy, never data.
import { createHash } from 'node:crypto'
import type { StoreId } from './names.ts'

export const SHARDS = 64

/** The shard of a source: the same in every process and version, it is part of the wire format. */
export function shardOf(source: string, shards: number = SHARDS): number {
  return hash32(source) % shards
}

/** Stores of a shard, best first. The first R of them own it. */
export function rankStores(shard: number, stores: Iterable<StoreId>): StoreId[] {
  return [...stores]
    .map((store) => ({ store, score: hash32(`${shard}/${store}`) }))
    .sort((a, b) => b.score - a.score || (a.store < b.store ? -1 : 1))
    .map(({ store }) => store)
}

/**
 * Where to send a shard's frames now: its R owners, without those that are suspect, and for each of
 * these the next store in the ranking, which takes hinted copies until the owner is back.
 */
export function sendTargets(
  ranking: readonly StoreId[],
  replicas: number,
  suspect: (store: StoreId) => boolean,
): StoreId[] {
  return ranking.filter((store) => !suspect(store)).slice(0, replicas)
}

/**
 * The stores that take each shard's frames now, by shard. `candidates`: members that are not leaving;
 * `usable`: those of them that can take frames.
 */
export function takersByShard(
  candidates: readonly StoreId[],
  usable: ReadonlySet<StoreId>,
  replicas: number,
): StoreId[][] {
  return Array.from({ length: SHARDS }, (_, shard) =>
    sendTargets(rankStores(shard, candidates), replicas, (store) => !usable.has(store)),
  )
}

/** What decides whether a store takes frames. */
export interface PlacedStore {
  readonly storeId: StoreId
  readonly leaving: boolean
  readonly suspect: boolean
  readonly refusing: string | undefined
}

/** As takersByShard, of stores as they are seen. `own`: a store that counts as usable all the same. */
export function takersNow(
  stores: readonly PlacedStore[],
  replicas: number,
  own?: StoreId,
): StoreId[][] {
  const candidates = stores.filter(({ leaving }) => !leaving)
  const usable = candidates.filter(({ storeId, suspect, refusing }) => {
    return storeId === own || (!suspect && refusing === undefined)
  })
  const ids = (placed: readonly PlacedStore[]): StoreId[] => placed.map(({ storeId }) => storeId)
  return takersByShard(ids(candidates), new Set(ids(usable)), replicas)
}

/** First 32 bits of SHA-256: even over short, similar names, which cheaper hashes are not. */
function hash32(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32LE(0)
}
