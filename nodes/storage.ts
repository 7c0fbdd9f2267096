// A storage peer: takes frames from the mesh, syncs them, acknowledges them, and answers queries.
//
//   transport ─► Ingest ─► Writer ─► FrameStore (disk) ─► acks
//                                      ▲       └─► LocalPeer ─► HTTP: query, digest, frames, health
//   other stores ◄─── Repair ──────────┘
import {
  isPeerTransport,
  SchemaExchange,
  systemClock,
  type Frame,
  type PeerId,
  type Session,
  type StoreId,
} from '../mesh/index.ts'
import {
  Asker,
  createPeerServer,
  Ingest,
  LocalPeer,
  Removal,
  Repair,
  RepairIntake,
  StorageError,
  StoreMember,
  type CommitResult,
  type Health,
  type Member,
  type NameConflict,
  type PeerServer,
} from '../storage/index.ts'
import { connectStore, storeView } from './asking.ts'
import type { Config } from './config/config.ts'
import { listenError } from './listening.ts'
import { openSession } from './session.ts'
import { StoreDisk, type Held } from './storage/disk.ts'
import { storageMetrics } from './storage/metrics.ts'
import { ownedShards, whyNotCounted, whyRefusing } from './storage/standing.ts'

export interface StorageOptions {
  readonly config: Config
  /** Names its directory under the data path. */
  readonly name: string
  readonly onWarning: (message: string) => void
}

export interface StorageStats extends Held {
  readonly storeId: StoreId
  /** Since the start, as opposed to what is held. */
  readonly writtenSamples: number
  readonly writtenBytes: number
  readonly duplicates: number
  readonly conflicts: number
  readonly queuedBytes: number
  /** Frames that other stores hold and this one should. */
  readonly missingFrames: number
  readonly rssBytes: number
  /** Why it acknowledges nothing; absent when it does. */
  readonly refusing?: string
}

export class StorageNode {
  private readonly options: StorageOptions
  /** What start() has opened, closed in the reverse order. */
  private readonly opened = new AsyncDisposableStack()
  private readonly intake = new RepairIntake(() => this.disk.writer)
  private disk!: StoreDisk
  private member!: StoreMember
  private session!: Session
  private ingest!: Ingest
  private peer!: LocalPeer
  private repair!: Repair
  private server!: PeerServer
  private suspects = ''

  constructor(options: StorageOptions) {
    this.options = options
  }

  /** Where others link to it. */
  get endpoint(): string | undefined {
    const { transport } = this.session
    return isPeerTransport(transport) ? transport.endpoint : undefined
  }

  get http(): string {
    return this.server.url
  }

  get storeId(): StoreId {
    return this.disk.directory.identity.storeId
  }

  /**
   * @throws StorageError STORE_IN_USE, STORE_WRONG_MESH, STORE_FORMAT_UNKNOWN, STORE_DAMAGED;
   * MeshError MESH_ADDRESS_IN_USE, MESH_ADDRESS_INVALID; NodeError NODE_ADDRESS_IN_USE.
   */
  async start(): Promise<void> {
    try {
      this.disk = this.opened.use(await this.openDisk())
      this.member = await this.openMember()
      this.session = this.opened.use(await this.openSession())
      if (this.isFirst) await this.member.found()
      this.ingest = await this.openIngest()
      this.peer = this.makePeer()
      this.repair = this.makeRepair()
      this.server = this.opened.use(await this.listen())
    } catch (error) {
      await this.close()
      throw error
    }
    await this.ingest.start()
    this.startUpkeep()
    this.member.review()
    this.session.membership.announce()
  }

  /** Stops taking frames, settles what was taken, seals the store. */
  async close(): Promise<void> {
    // What was taken is acknowledged while there is still a link to say it on.
    this.ingest?.stop()
    await this.disk?.writer.drain()
    await this.opened.disposeAsync()
  }

  async stats(): Promise<StorageStats> {
    const { samples, bytes, duplicates, conflicts } = this.disk.writer.counters
    const refusing = this.refusing()
    return {
      ...{ storeId: this.storeId, ...(await this.disk.held()) },
      ...{ writtenSamples: samples, writtenBytes: bytes, duplicates, conflicts },
      ...{ queuedBytes: this.disk.writer.queuedBytes, missingFrames: this.repair.missingFrames },
      rssBytes: process.memoryUsage.rss(),
      ...(refusing !== undefined && { refusing }),
    }
  }

  private openDisk(): Promise<StoreDisk> {
    const { config, name } = this.options
    return StoreDisk.open({ config, name, onCommitted: (results) => this.committed(results) })
  }

  private committed(results: readonly CommitResult<PeerId>[]): void {
    this.ingest.committed(results)
    this.intake.committed(results)
    for (const { conflict, frame } of results) {
      if (conflict !== undefined) this.options.onWarning(conflictText(frame, conflict))
    }
  }

  private async openMember(): Promise<StoreMember> {
    const member = new StoreMember({
      ...{ storeId: this.storeId, writeQuorum: this.options.config.mesh.writeQuorum },
      document: this.disk.members,
      membership: () => this.session.membership,
      onChange: () => this.session.membership.announce(),
    })
    await member.load()
    this.opened.defer(() => member.settled())
    return member
  }

  private openSession(): Promise<Session> {
    const { config, onWarning } = this.options
    const { member } = this
    // Its seeds, and where it last met others: whichever of them is up is enough.
    const seeds = [...new Set([...config.seeds, ...member.endpoints])]
    return openSession(
      { ...config, seeds },
      {
        roles: ['storage'],
        http: () => this.advertisedHttp,
        store: () => {
          const refusing = this.refusing()
          return {
            ...{ storeId: this.storeId, joined: member.joined, members: member.members },
            ...{ refusing, grantBytes: this.ingest?.grantBytes() ?? 0 },
          }
        },
        onAnnouncement: (announcement) => member.hear(announcement),
        onChange: () => this.membershipChanged(),
        onWarning,
      },
    )
  }

  private async openIngest(): Promise<Ingest> {
    const { budgetBytes } = this.options.config.storage
    const { mesh, transport } = this.session
    const { schemas, store, writer } = this.disk
    const exchange = new SchemaExchange({
      ...{ mesh, transport, clock: systemClock, scope: 'directed' },
      lookup: (id) => schemas.get(id),
      onSchema: (schema) => schemas.put(schema),
    })
    await exchange.start()
    return new Ingest({
      ...{ mesh, transport, clock: systemClock, store, storeId: this.storeId },
      ...{ writer, exchange, budgetBytes },
      hasSchema: (id) => schemas.has(id),
      isMember: () => this.member.joined && !this.member.isLeaving,
    })
  }

  private makePeer(): LocalPeer {
    const { store, latest, schemas } = this.disk
    return new LocalPeer({
      ...{ storeId: this.storeId, store, latest },
      life: this.session.transport.peerId,
      schemaOf: (id) => schemas.get(id),
      members: () => this.memberList(),
      notCounted: () => whyNotCounted(this.member, this.repair),
    })
  }

  private makeRepair(): Repair {
    const { replicas, writeQuorum } = this.options.config.mesh
    const { store, schemas } = this.disk
    return new Repair({
      ...{ store, storeId: this.storeId, clock: systemClock, writeQuorum },
      members: () => this.memberList(),
      ownedShards: () => ownedShards(this.member.members, this.storeId, replicas),
      connect: connectStore,
      keep: (stored) => this.intake.keep(stored),
      hasSchema: (id) => schemas.has(id),
      keepSchema: (schema) => schemas.put(schema),
      onError: (error) => this.options.onWarning(`repair: ${(error as Error).message}`),
    })
  }

  private async listen(): Promise<PeerServer> {
    const { host, port } = this.options.config.storage.http
    const { disk, ingest, repair, session } = this
    const asker = new Asker({
      ...{ stores: () => storeView(session), clock: systemClock, connect: connectStore },
      local: { storeId: this.storeId, peer: this.peer },
    })
    const { membership, transport } = session
    const refusing = (): string | undefined => this.refusing()
    try {
      return await createPeerServer({
        ...{ host, port, clock: systemClock, asker, peer: this.peer },
        peers: () => ({ stores: membership.stores(), peers: membership.peers() }),
        health: () => this.health(),
        metrics: storageMetrics({ disk, ingest, repair, transport, refusing }),
        addRoutes: (app) => {
          app.post('/v1/peers/remove', (request) => this.remove(request.body))
        },
      })
    } catch (error) {
      throw listenError(error, host, port)
    }
  }

  /** What goes on in the background for as long as the peer lives. */
  private startUpkeep(): void {
    const removal = new Removal({
      ...{ storeId: this.storeId, replicas: this.options.config.mesh.replicas },
      ...{ member: this.member, clock: systemClock, local: this.peer, connect: connectStore },
      membership: () => this.session.membership,
    })
    this.repair.start()
    this.opened.defer(() => this.repair.stop())
    removal.start()
    this.opened.defer(() => removal.stop())
  }

  /** Marks a store as leaving. @throws StorageError QUERY_INVALID when it is no member, or this one. */
  private async remove(body: unknown): Promise<{ storeId: string; state: string }> {
    const { storeId } = (body ?? {}) as { storeId?: StoreId }
    if (storeId === undefined || this.member.members.get(storeId) === undefined) {
      throw new StorageError('QUERY_INVALID', `storeId ${String(storeId)} is no store of this mesh`)
    }
    if (storeId === this.storeId) {
      throw new StorageError('QUERY_INVALID', 'a store cannot remove itself: ask another one')
    }
    const { replicas } = this.options.config.mesh
    const staying = [...this.member.members].filter(
      ([id, state]) => state === 'member' && id !== storeId,
    )
    if (staying.length < replicas) {
      throw new StorageError(
        'QUERY_INVALID',
        `without ${storeId} ${staying.length} stores remain, too few for ${replicas} replicas: add one first`,
      )
    }
    await this.member.mark(storeId, 'leaving')
    return { storeId, state: this.member.members.get(storeId)! }
  }

  /** Its own table, and where each store can be asked. */
  private memberList(): Member[] {
    const { membership } = this.session
    return [...this.member.members].map(([storeId, state]) => {
      const isThis = storeId === this.storeId
      return {
        storeId,
        state,
        http: isThis ? this.advertisedHttp : membership.storeView(storeId).http,
      }
    })
  }

  private membershipChanged(): void {
    // The session begins to hear of others before it is returned.
    if (this.session === undefined) return
    this.member.review()
    // A store that is back may have what this one lacks: look at once.
    const stores = this.session.membership.stores()
    const suspects = stores
      .filter(({ suspect }) => suspect)
      .map(({ storeId }) => storeId)
      .join()
    if (suspects !== this.suspects) this.repair?.kick()
    this.suspects = suspects
    const peers = this.session.membership.peers()
    const known = peers.filter(({ storeId, suspect }) => storeId !== undefined && !suspect)
    this.member.remember(known.flatMap(({ endpoint }) => endpoint ?? []))
  }

  private refusing(): string | undefined {
    return whyRefusing(this.disk, this.member)
  }

  private async health(): Promise<Health> {
    const refusing = this.refusing()
    return {
      refusing: refusing !== undefined,
      ready: refusing === undefined,
      reasons: refusing === undefined ? [] : [refusing],
      details: { ...(await this.stats()) },
    }
  }

  /** Nobody else is named as a seed: this store founds the mesh, unless it is a member of one. */
  private get advertisedHttp(): string | undefined {
    const { advertise } = this.options.config.storage.http
    return advertise === 'auto' ? this.server?.url : advertise
  }

  private get isFirst(): boolean {
    const { seeds, transport } = this.options.config
    const { bind, advertise } = transport.name === 'zeromq' ? transport : {}
    const own = [this.endpoint, bind, advertise]
    return seeds.every((seed) => own.includes(seed))
  }
}

function conflictText(frame: Frame, { heldSha256, offeredSha256 }: NameConflict): string {
  const { source, stream, epoch, sequence } = frame
  return (
    `conflict: frame ${sequence} of ${source} (${stream}, epoch ${epoch}) is held as SHA-256 ${heldSha256} ` +
    `and was offered as ${offeredSha256}: kept as it was, its publisher was told`
  )
}
