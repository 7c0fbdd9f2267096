// Which stores belong to the mesh (docs/delivery.md §8). A table only ever grows or moves forward:
// member, then leaving, then removed. Tables of different stores merge by taking the later state, so
// the order in which they are heard does not matter.
import type { StoreId } from './names.ts'

export const MEMBER_STATES = ['member', 'leaving', 'removed'] as const
export type MemberState = (typeof MEMBER_STATES)[number]

export type MemberTable = ReadonlyMap<StoreId, MemberState>

/** What one store says of itself and of the mesh, as last heard. */
export interface MemberWitness {
  readonly storeId: StoreId
  /** Whether it has been confirmed as a member itself. */
  readonly joined: boolean
  /** Its synced table. */
  readonly table: MemberTable
}

/** The union; the same object as `table` when `other` adds nothing. */
export function mergeTables(table: MemberTable, other: MemberTable): MemberTable {
  let merged: Map<StoreId, MemberState> | undefined
  for (const [storeId, state] of other) {
    const known = (merged ?? table).get(storeId)
    if (known !== undefined && MEMBER_STATES.indexOf(known) >= MEMBER_STATES.indexOf(state))
      continue
    merged ??= new Map(table)
    merged.set(storeId, state)
  }
  return merged ?? table
}

/** Stores whose answers count: everyone not removed. */
export function currentMembers(table: MemberTable): StoreId[] {
  return [...table].filter(([, state]) => state !== 'removed').map(([storeId]) => storeId)
}

/**
 * Whether enough stores have synced that `self` is a member. While fewer than W others are members
 * all known others must have; later at least W members: so that any N − W + 1 stores include one
 * that knows of this store.
 */
export function mayJoin(
  self: StoreId,
  table: MemberTable,
  witnesses: Iterable<MemberWitness>,
  writeQuorum: number,
): boolean {
  let known = table
  const heard = new Map<StoreId, MemberWitness>()
  for (const witness of witnesses) {
    known = mergeTables(known, witness.table)
    heard.set(witness.storeId, witness)
  }
  const others = currentMembers(known).filter((storeId) => storeId !== self)
  if (others.length === 0) return false
  const confirms = (storeId: StoreId): boolean => heard.get(storeId)?.table.has(self) ?? false
  const members = others.filter((storeId) => heard.get(storeId)?.joined ?? false)
  if (members.length < writeQuorum) return members.length > 0 && others.every(confirms)
  return members.filter(confirms).length >= writeQuorum
}
