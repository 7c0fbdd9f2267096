import { describe, expect, it } from 'vitest'
import type { StoreId } from './names.ts'
import { rankStores, sendTargets, SHARDS, shardOf } from './placement.ts'

const stores = (count: number): StoreId[] =>
  Array.from({ length: count }, (_, i) => (i + 1).toString(16).padStart(16, '0') as StoreId)

describe('shardOf', () => {
  // Golden: another answer would part every source from its history.
  it.each([
    ['VH001', 46],
    ['station-17', 49],
    ['truck_0', 45],
    ['Straße 7', 58],
  ])('puts %s on shard %d, for ever', (source, shard) => {
    expect(shardOf(source)).toBe(shard)
  })

  it('spreads 10,000 vehicles over the shards with none twice as full as another', () => {
    const counts = Array.from({ length: SHARDS }, () => 0)
    for (let i = 0; i < 10_000; i++) counts[shardOf(`VH${String(i).padStart(5, '0')}`)]! += 1
    expect(Math.max(...counts)).toBeLessThan(2 * Math.min(...counts))
  })
})

describe('rankStores', () => {
  it('ranks five stores for shard 7 as it always has', () => {
    expect(rankStores(7, stores(5)).map((store) => Number(store))).toEqual([2, 1, 4, 3, 5])
  })

  it('does not depend on the order of the members', () => {
    const members = stores(9)
    expect(rankStores(3, members.toReversed())).toEqual(rankStores(3, members))
    expect(rankStores(3, new Set(members))).toEqual(rankStores(3, members))
  })

  it('makes each of five stores an owner of its share, within a third', () => {
    const owned = new Map<StoreId, number>()
    for (let shard = 0; shard < 1024; shard++) {
      for (const store of rankStores(shard, stores(5)).slice(0, 2)) {
        owned.set(store, (owned.get(store) ?? 0) + 1)
      }
    }
    const share = (1024 * 2) / 5
    for (const count of owned.values()) expect(Math.abs(count - share)).toBeLessThan(share / 3)
  })

  it('moves to a new store only what it owns, and nothing between the others', () => {
    const [before, after] = [stores(5), stores(6)]
    const added = after.at(-1)!
    let moved = 0
    for (let shard = 0; shard < 1024; shard++) {
      const ranking = rankStores(shard, after)
      expect(ranking.filter((store) => store !== added)).toEqual(rankStores(shard, before))
      if (ranking.slice(0, 2).includes(added)) moved += 1
    }
    // Two owners of six: about a third of the shards gain it.
    expect(moved / 1024).toBeGreaterThan(0.25)
    expect(moved / 1024).toBeLessThan(0.42)
  })
})

describe('sendTargets', () => {
  const ranking = rankStores(7, stores(5))

  it('is the first R of the ranking', () => {
    expect(sendTargets(ranking, 2, () => false)).toEqual(ranking.slice(0, 2))
  })

  it('puts the next in the ranking in the place of a suspect', () => {
    const targets = sendTargets(ranking, 2, (store) => store === ranking[0])
    expect(targets).toEqual([ranking[1], ranking[2]])
  })

  it('is what there is when too few are left', () => {
    expect(sendTargets(ranking, 3, (store) => store !== ranking[4])).toEqual([ranking[4]])
  })
})
