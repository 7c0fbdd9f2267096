// The first half of a query: every store that can be found says what it knows. Each answer carries
// that store's own table of the mesh's stores, so one reachable store is enough to find all.
import { currentMembers, mergeTables, type MemberTable, type StoreId } from '../../mesh/index.ts'
import { messageOf, StorageError } from '../errors.ts'
import { didYouMean } from '../nearest.ts'
import type { DigestAnswer, Member, QueryPeer } from './peer.ts'

/** Streams named in a message, and in its details, for somebody who asked for one that is not there. */
const NAMED_MAX = 20
const DETAILED_MAX = 100

/** Whom to ask: a store by its id, or whichever is behind an address. */
export interface Asked {
  readonly storeId?: StoreId
  readonly http?: string | undefined
}

/** The store of this process. */
export interface LocalStore {
  readonly storeId: StoreId
  readonly peer: QueryPeer
}

/** Asks every store it hears of, once, until no answer names another. */
export class DigestRound {
  readonly answers = new Map<StoreId, { peer: QueryPeer; answer: DigestAnswer }>()
  /** By store id, or by address where that is all that was known. */
  readonly failures = new Map<string, string>()
  private readonly digestOf: (peer: QueryPeer) => Promise<DigestAnswer>
  private readonly connect: (http: string) => QueryPeer
  private readonly local: LocalStore | undefined
  /** Addresses; this process's own store is at `local`. */
  private readonly asked = new Set<string>()
  private table: MemberTable = new Map()

  constructor(
    digestOf: (peer: QueryPeer) => Promise<DigestAnswer>,
    connect: (http: string) => QueryPeer,
    local?: LocalStore,
  ) {
    this.digestOf = digestOf
    this.connect = connect
    this.local = local
  }

  /** Stores that are members of the mesh, by the union of all tables seen. */
  members(): ReadonlySet<StoreId> {
    return new Set(currentMembers(this.table))
  }

  async askMembers(members: readonly Member[]): Promise<void> {
    const table = new Map(members.map(({ storeId, state }) => [storeId, state]))
    this.table = mergeTables(this.table, table)
    const current = members.filter(({ storeId }) => this.table.get(storeId) !== 'removed')
    await Promise.all(current.map((member) => this.askOne(member)))
  }

  /** @throws StorageError QUERY_NO_PEER when nobody answered. */
  checkAnswered(): void {
    if (this.answers.size > 0) return
    throw new StorageError(
      'QUERY_NO_PEER',
      this.failures.size === 0
        ? 'no storage peer is known that could be asked'
        : `none of the ${this.failures.size} storage peers known answered`,
      { retryable: true, details: { failures: Object.fromEntries(this.failures) } },
    )
  }

  /** @throws StorageError QUERY_STREAM_UNKNOWN when no store that answered has the stream. */
  checkStream(stream: string): void {
    const known = new Set([...this.answers.values()].flatMap(({ answer }) => answer.streams))
    const hasLanes = [...this.answers.values()].some(({ answer }) => answer.lanes.length > 0)
    if (hasLanes || known.has(stream)) return
    const stores = this.answers.size === 1 ? 'one store' : `${this.answers.size} stores`
    throw new StorageError(
      'QUERY_STREAM_UNKNOWN',
      `stream ${JSON.stringify(stream)} is not known to the ${stores} that answered.` +
        `${didYouMean(stream, known)} ${thereAre([...known].sort())}`,
      { details: { stream, streams: [...known].sort().slice(0, DETAILED_MAX) } },
    )
  }

  async askOne(asked: Asked): Promise<void> {
    const { storeId, http } = asked
    const local = storeId === this.local?.storeId ? this.local : undefined
    const address = local === undefined ? http : 'local'
    if (address === undefined) {
      this.fail(storeId, 'its address is not known')
      return
    }
    if (this.asked.has(address) || (storeId !== undefined && this.answers.has(storeId))) return
    this.asked.add(address)
    const peer = local?.peer ?? this.connect(address)
    try {
      const answer = await this.digestOf(peer)
      // Under an old address another disk may answer: it speaks for itself alone.
      if (!this.answers.has(answer.storeId)) this.answers.set(answer.storeId, { peer, answer })
      this.failures.delete(answer.storeId)
      await this.askMembers(answer.members)
    } catch (error) {
      this.fail(storeId ?? http, messageOf(error))
    }
  }

  private fail(who: string | undefined, reason: string): void {
    if (who !== undefined && !this.answers.has(who as StoreId)) this.failures.set(who, reason)
  }
}

function thereAre(streams: readonly string[]): string {
  if (streams.length === 0) return 'There are none yet.'
  const more = streams.length - NAMED_MAX
  const rest = more > 0 ? ` and ${more} more` : ''
  return `There are: ${streams.slice(0, NAMED_MAX).join(', ')}${rest}.`
}
