// Ends a store's membership once nothing depends on it (docs/delivery.md §8). A store marked leaving
// owns nothing any more, so repair copies its share to the new owners; when every remaining member has
// confirmed the mark and every frame known is on its owners, it is marked removed and no longer counts.
// One store does the looking: the first, by id, of those that can be reached.
import {
  currentMembers,
  IntervalSet,
  rankStores,
  shardOf,
  SHARDS,
  type Clock,
  type MembershipView,
  type StoreId,
  type Timer,
} from '../mesh/index.ts'
import type { LaneDigest } from './coverage.ts'
import type { StoreMember } from './member.ts'
import { withDeadline } from './query/deadline.ts'
import type { QueryPeer } from './query/peer.ts'

const LOOK_MS = 2_000
const DIGEST_TIMEOUT_MS = 10_000

/** As much of a peer as is needed. */
type Digester = Pick<QueryPeer, 'digest'>

export interface RemovalOptions {
  readonly storeId: StoreId
  readonly replicas: number
  readonly member: StoreMember
  readonly membership: () => MembershipView
  readonly clock: Clock
  readonly local: Digester
  readonly connect: (http: string) => Digester
}

export class Removal {
  private readonly options: RemovalOptions
  private readonly stopping = new AbortController()
  private timer: Timer | undefined
  private looking: Promise<void> = Promise.resolve()

  constructor(options: RemovalOptions) {
    this.options = options
  }

  start(): void {
    this.timer = this.options.clock.startTimer(LOOK_MS, () => {
      // A store that does not answer leaves the membership as it is; the next look may find it.
      this.looking = this.look().catch(() => undefined)
      void this.looking.then(() => this.start())
    })
  }

  async stop(): Promise<void> {
    this.stopping.abort(new Error('the store is stopping'))
    this.timer?.cancel()
    await this.looking
    this.timer?.cancel()
  }

  private async look(): Promise<void> {
    const { member, storeId } = this.options
    const members = currentMembers(member.members)
    const leaving = members.filter((id) => member.members.get(id) === 'leaving')
    const remaining = members.filter((id) => member.members.get(id) === 'member')
    if (leaving.length === 0 || !member.joined || !this.isFirst(remaining)) return
    const confirmed = leaving.filter((id) => this.isConfirmed(id, remaining))
    if (confirmed.length === 0) return
    const digests = await this.digests(remaining)
    // What only a leaving store has is to be saved too, as long as it can be reached.
    const parting = await this.reachableDigests(leaving)
    if (!isOnOwners(digests, parting, this.options.replicas)) return
    for (const id of confirmed) if (id !== storeId) await member.mark(id, 'removed')
  }

  private isFirst(remaining: readonly StoreId[]): boolean {
    const { storeId, membership } = this.options
    const view = membership()
    const able = remaining.filter((id) => id === storeId || !storeIsAway(view, id))
    return able.sort()[0] === storeId
  }

  /** Every remaining member has the mark on its disk, so none counts or chooses the store any more. */
  private isConfirmed(leaving: StoreId, remaining: readonly StoreId[]): boolean {
    const { storeId, membership } = this.options
    const witnesses = new Map(
      membership()
        .witnesses()
        .map((each) => [each.storeId, each]),
    )
    return remaining.every((id) => {
      const state = witnesses.get(id)?.table.get(leaving)
      return id === storeId || (state !== undefined && state !== 'member')
    })
  }

  /** @throws when one of the stores does not answer. */
  private async digests(stores: readonly StoreId[]): Promise<Map<StoreId, readonly LaneDigest[]>> {
    const { storeId, local, connect, membership, clock } = this.options
    const view = membership()
    const found = new Map<StoreId, readonly LaneDigest[]>()
    for (const id of stores) {
      const http = view.stores().find((store) => store.storeId === id)?.http
      if (id !== storeId && http === undefined) throw new Error(`store ${id} cannot be reached`)
      const peer = id === storeId ? local : connect(http!)
      const { lanes } = await withDeadline(
        clock,
        DIGEST_TIMEOUT_MS,
        this.stopping.signal,
        (limit) => peer.digest({}, limit),
      )
      found.set(id, lanes)
    }
    return found
  }

  private async reachableDigests(stores: readonly StoreId[]): Promise<readonly LaneDigest[]> {
    const lanes: LaneDigest[] = []
    for (const id of stores) {
      if (storeIsAway(this.options.membership(), id)) continue
      for (const digest of (await this.digests([id])).values()) lanes.push(...digest)
    }
    return lanes
  }
}

function storeIsAway(view: MembershipView, storeId: StoreId): boolean {
  return view.stores().find((store) => store.storeId === storeId)?.suspect ?? true
}

/** Whether each owner holds everything that any of the stores holds of its shards. */
function isOnOwners(
  digests: ReadonlyMap<StoreId, readonly LaneDigest[]>,
  parting: readonly LaneDigest[],
  replicas: number,
): boolean {
  const known = new Map<string, { source: string; runs: IntervalSet }>()
  for (const lane of [...parting, ...[...digests.values()].flat()]) {
    const key = laneName(lane)
    const entry = known.get(key) ?? { source: lane.source, runs: new IntervalSet() }
    entry.runs.addAll(new IntervalSet(lane.held))
    known.set(key, entry)
  }
  const heldBy = new Map<StoreId, Map<string, IntervalSet>>()
  for (const [storeId, lanes] of digests) {
    heldBy.set(storeId, new Map(lanes.map((lane) => [laneName(lane), settledRuns(lane)])))
  }
  const stores = [...digests.keys()]
  const ownersOf = Array.from({ length: SHARDS }, (_, shard) =>
    rankStores(shard, stores).slice(0, replicas),
  )
  for (const [key, { source, runs }] of known) {
    for (const owner of ownersOf[shardOf(source)]!) {
      const held = heldBy.get(owner)?.get(key) ?? new IntervalSet()
      if (!runs.minus(held).isEmpty) return false
    }
  }
  return true
}

/** What retention removed at a store is not copied to it again. */
function settledRuns({ held, trimmed }: LaneDigest): IntervalSet {
  return new IntervalSet(held).or(new IntervalSet(trimmed))
}

function laneName({ source, stream, epoch }: LaneDigest): string {
  return `${epoch}/${stream}/${source}`
}
