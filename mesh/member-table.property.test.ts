// The reason for joining by confirmation (docs/delivery.md §8): whatever the order in which stores
// hear of each other, any answer that counts as complete comes from stores that meet every W stores
// which may have acknowledged a frame.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  currentMembers,
  mayJoin,
  mergeTables,
  type MemberTable,
  type MemberWitness,
} from './member-table.ts'
import type { StoreId } from './names.ts'

const idOf = (index: number): StoreId => index.toString(16).padStart(16, '0') as StoreId

class Store {
  readonly id: StoreId
  joined = false
  table: MemberTable = new Map()
  /** What it last heard from each other store. */
  readonly heard = new Map<StoreId, MemberWitness>()

  constructor(index: number) {
    this.id = idOf(index)
  }

  announce(): MemberWitness {
    return { storeId: this.id, joined: this.joined, table: this.table }
  }

  hear(witness: MemberWitness, writeQuorum: number): void {
    this.heard.set(witness.storeId, witness)
    const known = mergeTables(witness.table, new Map([[witness.storeId, 'member']]))
    this.table = mergeTables(this.table, known)
    if (!this.joined && mayJoin(this.id, this.table, this.heard.values(), writeQuorum)) {
      this.joined = true
      this.table = mergeTables(this.table, new Map([[this.id, 'member']]))
    }
  }
}

/** The first set of answering stores that would call an answer complete and miss an acknowledged frame. */
function counterexample(stores: readonly Store[], writeQuorum: number): string | undefined {
  for (let mask = 1; mask < 1 << stores.length; mask++) {
    const answering = stores.filter((_, index) => (mask & (1 << index)) !== 0)
    const known = answering.reduce<MemberTable>(
      (table, store) =>
        mergeTables(mergeTables(table, store.table), new Map([[store.id, 'member']])),
      new Map(),
    )
    const members = currentMembers(known).length
    // A store that is not confirmed answers, and does not count.
    const counted = answering.filter(({ joined }) => joined).length
    if (members < writeQuorum || counted < members - writeQuorum + 1) continue
    const silent = stores.filter((store) => store.joined && !answering.includes(store))
    if (silent.length >= writeQuorum) {
      return `${answering.map(({ id }) => id).join()} of ${members} miss ${silent.map(({ id }) => id).join()}`
    }
  }
  return undefined
}

describe('joining by confirmation', () => {
  it('complete answers meet every write quorum, in any order of hearing', () => {
    const hearing = fc.tuple(fc.nat(5), fc.nat(5))
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.array(hearing, { maxLength: 120 }),
        (quorum, steps) => {
          const stores = Array.from({ length: 6 }, (_, index) => new Store(index))
          stores[0]!.joined = true
          stores[0]!.table = new Map([[stores[0]!.id, 'member']])
          for (const [from, to] of steps) {
            if (from === to) continue
            stores[to]!.hear(stores[from]!.announce(), quorum)
            expect(counterexample(stores, quorum)).toBeUndefined()
          }
        },
      ),
      { numRuns: 1500 },
    )
  })

  it('everybody joins once all have heard each other a few times', () => {
    for (const quorum of [1, 2, 3]) {
      const stores = Array.from({ length: 6 }, (_, index) => new Store(index))
      stores[0]!.joined = true
      stores[0]!.table = new Map([[stores[0]!.id, 'member']])
      for (let round = 0; round < 4; round++) {
        for (const from of stores)
          for (const to of stores) if (from !== to) to.hear(from.announce(), quorum)
      }
      expect(stores.every(({ joined }) => joined)).toBe(true)
    }
  })

  it('the property can fail: confirmed by the founder alone is not enough', () => {
    const [a, b, c] = [new Store(0), new Store(1), new Store(2)]
    a.joined = true
    a.table = new Map([[a.id, 'member']])
    b.table = new Map([
      [a.id, 'member'],
      [b.id, 'member'],
    ])
    c.table = new Map([
      [a.id, 'member'],
      [c.id, 'member'],
    ])
    b.joined = true
    c.joined = true
    expect(counterexample([a, b, c], 2)).toBeDefined()
  })
})
