// One process's part in a mesh: its transport, its view of the members, and the publishers and
// subscribers it holds. Storage peers, vehicles, the aggregator, the CLI and programs that use Skein
// as a library all begin here.
import { createHash } from 'node:crypto'
import type { Announcement, PeerInfo, PeerRole } from './announcement.ts'
import type { Clock, Random } from './clock.ts'
import type { MemberTable } from './member-table.ts'
import { Membership, type MeshIdentity } from './membership.ts'
import type { MeshId, StoreId } from './names.ts'
import type { PublisherOptions } from './publisher/options.ts'
import { Publisher } from './publisher/publisher.ts'
import { Subscriber, type SubscriberOptions } from './subscriber.ts'
import { isPeerTransport, type Transport } from './transport.ts'

/** What a storage peer adds to its announcements. */
export interface StoreAnnouncement {
  readonly storeId: StoreId
  readonly joined: boolean
  readonly refusing?: string | undefined
  readonly grantBytes: number
  readonly members: MemberTable
  /** Frames it should hold and does not yet. */
  readonly lagFrames?: number
}

export interface SessionOptions {
  readonly mesh: MeshIdentity
  /** Not yet opened; the session opens and closes it. */
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  /** Endpoints of peers to begin with; one that is up is enough to learn all others. */
  readonly seeds: readonly string[]
  /** What this process is to others; a process with no role is not announced. */
  readonly roles?: readonly PeerRole[]
  /** What people call it. */
  readonly name?: string
  /** Grows with each process that serves one disk; of two the later one counts. Default: when this one began. */
  readonly incarnation?: number
  /** Asked at each announcement, so that they may begin to exist after the session does. */
  readonly http?: () => string | undefined
  readonly store?: () => StoreAnnouncement
  readonly onAnnouncement?: (announcement: Announcement) => void
  readonly onChange?: () => void
  readonly onMismatch?: (announcement: Announcement) => void
  readonly onBadEndpoint?: (endpoint: string, reason: string) => void
  /** Where others reach this process, when that is not where it listens. */
  readonly endpoint?: string
}

type Given = 'mesh' | 'transport' | 'membership' | 'clock' | 'random' | 'onClosed'

export class Session implements AsyncDisposable {
  readonly mesh: MeshIdentity
  readonly transport: Transport
  readonly membership: Membership
  private readonly options: SessionOptions
  private readonly incarnation: number
  private readonly publishers = new Set<Publisher>()
  private readonly subscribers = new Set<Subscriber>()

  constructor(options: SessionOptions) {
    this.options = options
    this.mesh = options.mesh
    this.transport = options.transport
    this.incarnation = options.incarnation ?? options.clock.nowUs()
    const { mesh, transport, clock, seeds, roles = [] } = options
    this.membership = new Membership({
      mesh,
      transport,
      clock,
      seeds,
      wants: (peer) => this.wants(peer),
      ...(roles.length > 0 && { announce: () => this.announcement() }),
      ...(options.onAnnouncement && { onAnnouncement: options.onAnnouncement }),
      ...(options.onMismatch && { onMismatch: options.onMismatch }),
      ...(options.onBadEndpoint && { onBadEndpoint: options.onBadEndpoint }),
      onChange: () => {
        for (const publisher of this.publishers) publisher.membershipChanged()
        options.onChange?.()
      },
    })
  }

  /** @throws MeshError MESH_ADDRESS_IN_USE, MESH_ADDRESS_INVALID. */
  async open(signal?: AbortSignal): Promise<void> {
    await this.transport.open(signal)
    await this.membership.start()
  }

  async publisher(options: Omit<PublisherOptions, Given> = {}): Promise<Publisher> {
    const { clock, random } = this.options
    const { mesh, transport, membership } = this
    const given = { mesh, transport, membership, clock, random }
    const publisher: Publisher = new Publisher({
      ...options,
      ...given,
      onClosed: () => this.publishers.delete(publisher),
    })
    this.publishers.add(publisher)
    await publisher.start()
    return publisher
  }

  async subscriber(options: Omit<SubscriberOptions, Given>): Promise<Subscriber> {
    const { mesh, transport } = this
    const subscriber: Subscriber = new Subscriber({
      ...options,
      mesh,
      transport,
      clock: this.options.clock,
      onClosed: () => this.subscribers.delete(subscriber),
    })
    this.subscribers.add(subscriber)
    await subscriber.start()
    return subscriber
  }

  /** Closes subscribers and the transport. Close publishers first, to learn what they could not deliver. */
  async close(): Promise<void> {
    for (const publisher of this.publishers) await publisher.close({ drainMs: 0 })
    for (const subscriber of this.subscribers) await subscriber.close()
    this.membership.stop()
    await this.transport.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Stores need all stores; readers too, for history; publishers only what their shards need. */
  private wants(peer: PeerInfo): boolean {
    const { roles = [] } = this.options
    if (roles.length > 0 || this.publishers.size === 0) {
      if (peer.roles.includes('storage')) return true
    }
    for (const publisher of this.publishers) if (publisher.wants(peer)) return true
    return false
  }

  private announcement(): { self: PeerInfo; members: MemberTable; grantBytes?: number } {
    const { roles = [], name, http, store } = this.options
    const bound = isPeerTransport(this.transport) ? this.transport.endpoint : undefined
    const endpoint = this.options.endpoint ?? bound
    const { storeId, joined, refusing, grantBytes, members, lagFrames } = store?.() ?? {}
    const links = isPeerTransport(this.transport) ? this.transport.linked().size : undefined
    return {
      self: {
        id: this.transport.peerId,
        incarnation: this.incarnation,
        roles,
        name,
        endpoint,
        http: http?.(),
        storeId,
        joined,
        refusing,
        transport: this.transport.name,
        links,
        lagFrames,
      },
      members: members ?? this.membership.members(),
      ...(grantBytes !== undefined && { grantBytes }),
    }
  }
}

/**
 * The mesh as its processes name it. With a key, a secret its processes share, those of another key are
 * of another mesh. @throws RangeError unless 1 <= writeQuorum <= replicas.
 */
export function meshIdentity(
  name: string,
  replicas: number,
  writeQuorum: number,
  key?: string,
): MeshIdentity {
  if (!(writeQuorum >= 1 && writeQuorum <= replicas)) {
    throw new RangeError(`writeQuorum ${writeQuorum} is not in 1..${replicas} (replicas)`)
  }
  const secret = key === undefined ? '' : `\0${key}`
  const hash = createHash('sha256').update(name + secret)
  const id = hash.digest('hex').slice(0, 16) as MeshId
  return { id, name, replicas, writeQuorum }
}
