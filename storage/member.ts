// This store as a member of the mesh: its synced table of members, and whether it has been confirmed
// as one itself (docs/delivery.md §8). What it announces is always what is on its disk.
import {
  mayJoin,
  mergeTables,
  type Announcement,
  type MembershipView,
  type MemberState,
  type MemberTable,
  type MemberWitness,
  type StoreId,
} from '../mesh/index.ts'
import type { DurableJson } from './durable-json.ts'

export interface MemberDocument {
  joined: boolean
  /** A member was heard, or this store became one: there is a mesh, whoever founded it. */
  ofMesh?: boolean
  members: Record<string, MemberState>
  /** Where other stores were last reached: a seed that is away must not cut this one off. */
  endpoints?: string[]
}

export interface StoreMemberOptions {
  readonly storeId: StoreId
  readonly writeQuorum: number
  readonly document: DurableJson<MemberDocument>
  /** Undefined until this store has its place in the mesh. */
  readonly membership: () => MembershipView | undefined
  /** The table on disk has changed: announce it. */
  readonly onChange: () => void
}

export class StoreMember {
  private readonly options: StoreMemberOptions
  private table: MemberTable = new Map()
  private confirmed = false
  private reachable: readonly string[] = []
  private saving: Promise<void> = Promise.resolve()
  /** An earlier life of this store knew of a mesh. */
  private hadMesh = false

  constructor(options: StoreMemberOptions) {
    this.options = options
  }

  /** Reads the table from disk. Before this it hears and says nothing. */
  async load(): Promise<void> {
    const saved = await this.options.document.load()
    if (saved === undefined) return
    this.table = new Map(Object.entries(saved.members) as [StoreId, MemberState][])
    this.confirmed = saved.joined
    this.hadMesh = saved.ofMesh ?? (saved.joined || this.table.size > 0)
    this.reachable = saved.endpoints ?? []
  }

  /** Begins a mesh, unless there is one already: nobody could confirm its first store. */
  async found(): Promise<void> {
    const { storeId } = this.options
    if (this.hadMesh || this.hearsMember) return
    this.change(() => this.save(mergeTables(this.table, new Map([[storeId, 'member']])), true))
    await this.saving
  }

  /** Confirmed: this store may acknowledge. */
  get joined(): boolean {
    return this.confirmed
  }

  /** This store was removed from the mesh, or is about to be: it must not acknowledge. */
  get isLeaving(): boolean {
    return (this.table.get(this.options.storeId) ?? 'member') !== 'member'
  }

  /** Whether this store was part of a mesh when it was opened: it founds none. */
  get isOfMesh(): boolean {
    return this.hadMesh
  }

  /** As on disk. */
  get members(): MemberTable {
    return this.table
  }

  /** Where other stores were last reached, as on disk. */
  get endpoints(): readonly string[] {
    return this.reachable
  }

  /** Keeps where other stores can be reached, for the next start. */
  remember(endpoints: readonly string[]): void {
    const sorted = [...new Set(endpoints)].sort()
    if (sorted.length === 0 || sorted.join() === this.reachable.join()) return
    this.reachable = sorted
    this.change(() => this.save(this.table, this.confirmed))
  }

  /** Takes in what another store announced. */
  hear({ self, members }: Announcement): void {
    const announced: MemberTable =
      self.storeId === undefined
        ? members
        : mergeTables(members, new Map([[self.storeId, 'member']]))
    this.merge(announced)
  }

  /** Moves a member's state forward, and resolves once that is synced. */
  async mark(storeId: StoreId, state: MemberState): Promise<void> {
    this.merge(new Map([[storeId, state]]))
    await this.saving
  }

  /** Whether the others have confirmed this store by now; looks after each change of the membership. */
  review(): void {
    if (this.confirmed) return
    const { storeId, writeQuorum } = this.options
    if (mayJoin(storeId, this.table, this.witnesses(), writeQuorum)) {
      this.change(() => this.save(mergeTables(this.table, new Map([[storeId, 'member']])), true))
    }
  }

  /** Resolves when what was heard so far is on disk. */
  async settled(): Promise<void> {
    await this.saving
  }

  private witnesses(): MemberWitness[] {
    return this.options.membership()?.witnesses() ?? []
  }

  private get hearsMember(): boolean {
    return this.witnesses().some(({ joined }) => joined)
  }

  private merge(other: MemberTable): void {
    if (mergeTables(this.table, other) === this.table) return
    this.change(async () => {
      const merged = mergeTables(this.table, other)
      if (merged !== this.table) await this.save(merged, this.confirmed)
    })
  }

  /** One change at a time, each announced only once it is synced. */
  private change(work: () => Promise<void>): void {
    const before = this.saving
    this.saving = this.applied(before, work)
  }

  private async applied(before: Promise<void>, work: () => Promise<void>): Promise<void> {
    await before
    try {
      await work()
    } catch {
      // A table that could not be saved is not announced; the next announcement heard tries again.
      return
    }
    this.review()
    this.options.onChange()
  }

  private async save(table: MemberTable, joined: boolean): Promise<void> {
    const endpoints = [...this.reachable]
    const members = Object.fromEntries(table)
    const ofMesh = this.hadMesh || joined || this.hearsMember
    await this.options.document.save({ joined, ofMesh, members, endpoints })
    this.table = table
    this.confirmed = joined
  }
}
