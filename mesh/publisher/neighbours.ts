// Which stores a publisher keeps links with: those its shards need, not everybody.
import type { Membership, MeshIdentity } from '../membership.ts'
import type { StoreId } from '../names.ts'
import { rankStores } from '../placement.ts'

export class Neighbours {
  private readonly mesh: MeshIdentity
  private readonly membership: Membership
  private readonly shards = new Set<number>()
  private stores: ReadonlySet<StoreId> = new Set()
  /** What `stores` was worked out from. */
  private view = ''

  constructor(mesh: MeshIdentity, membership: Membership) {
    this.mesh = mesh
    this.membership = membership
  }

  /** A shard is published to: its stores are to be linked with. */
  add(shard: number): void {
    if (this.shards.has(shard)) return
    this.shards.add(shard)
    this.membership.relink()
  }

  /** Whether the store owns one of the shards, or is near enough in its ranking to stand in. */
  has(storeId: StoreId): boolean {
    return this.near().has(storeId)
  }

  private near(): ReadonlySet<StoreId> {
    const { replicas } = this.mesh
    const stores = this.membership.stores().filter(({ leaving }) => !leaving)
    const named = stores.map(({ storeId, suspect }) => `${storeId}${suspect ? '?' : ''}`)
    const view = `${this.shards.size} ${named.join()}`
    if (view === this.view) return this.stores
    this.view = view
    const ids = stores.map(({ storeId }) => storeId)
    // In a mesh this small everybody is near: linked before the first sample needs it.
    if (ids.length <= replicas + 1) return (this.stores = new Set(ids))
    const inReach = stores.filter(({ suspect }) => !suspect).map(({ storeId }) => storeId)
    const near = new Set<StoreId>()
    for (const shard of this.shards) {
      for (const id of rankStores(shard, ids).slice(0, replicas)) near.add(id)
      for (const id of rankStores(shard, inReach).slice(0, replicas + 1)) near.add(id)
    }
    return (this.stores = near)
  }
}
