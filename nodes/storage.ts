// A storage peer: takes frames from the mesh, syncs them, acknowledges them, and answers queries.
//
//   transport ─► Ingest ─► Writer ─► FrameStore (disk) ─► acks
//                                      ▲       └─► LocalPeer ─► HTTP: query, digest, frames, health
//   other stores ◄─── Repair ──────────┘
import { join } from 'node:path'
import {
  currentMembers,
  rankStores,
  SchemaExchange,
  SHARDS,
  systemClock,
  systemRandom,
  meshIdentity,
  codecFor,
  type Frame,
  type PeerId,
  type Sample,
  type Session,
  type StoreId,
} from '../mesh/index.ts'
import {
  Asker,
  createPeerServer,
  DurableJson,
  Ingest,
  Latest,
  LocalPeer,
  openLevelStore,
  openSchemaStore,
  openStoreDirectory,
  Removal,
  Repair,
  RepairIntake,
  StorageError,
  StoreMember,
  Writer,
  type Health,
  type LevelStore,
  type Member,
  type MemberDocument,
  type MetricsSource,
  type NameConflict,
  type PeerServer,
  type SchemaStore,
  type StoreDirectory,
} from '../storage/index.ts'
import type { Config } from './config/config.ts'
import { connectStore, storeView } from './asking.ts'
import { openSession } from './session.ts'
import { metricsRegistry } from './storage-metrics.ts'

export interface StorageOptions {
  readonly config: Config
  /** Names its directory under the data path. */
  readonly name: string
  readonly onWarning: (message: string) => void
}

export interface StorageStats {
  readonly storeId: StoreId
  readonly frames: number
  readonly samples: number
  readonly bytes: number
  readonly duplicates: number
  readonly conflicts: number
  readonly queuedBytes: number
  readonly rssBytes: number
  readonly refusing?: string | undefined
}

export class StorageNode {
  private readonly options: StorageOptions
  private directory!: StoreDirectory
  private schemas!: SchemaStore
  private store!: LevelStore
  private latest!: Latest
  private writer!: Writer<PeerId>
  private readonly intake = new RepairIntake(() => this.writer)
  private member!: StoreMember
  private session!: Session
  private ingest!: Ingest
  private peer!: LocalPeer
  private repair!: Repair
  private removal!: Removal
  private server!: PeerServer
  private suspects = ''

  constructor(options: StorageOptions) {
    this.options = options
  }

  /** Where others link to it. */
  get endpoint(): string | undefined {
    const { transport } = this.session
    return 'endpoint' in transport ? (transport.endpoint as string | undefined) : undefined
  }

  get http(): string {
    return this.server.url
  }

  /**
   * @throws StorageError STORE_IN_USE, STORE_WRONG_MESH, STORE_FORMAT_UNKNOWN, STORE_DAMAGED;
   * MeshError MESH_ADDRESS_IN_USE, MESH_ADDRESS_INVALID.
   */
  async start(): Promise<void> {
    await this.openDisk()
    await this.openMember()
    this.ingest = this.makeIngest()
    this.peer = this.makePeer()
    this.repair = this.makeRepair()
    this.removal = this.makeRemoval()
    this.server = await this.listen()
    await this.ingest.start()
    this.repair.start()
    this.removal.start()
    this.member.review()
    this.session.membership.announce()
  }

  /** Stops taking frames, settles what was taken, seals the store. */
  async close(): Promise<void> {
    await this.removal.stop()
    await this.repair.stop()
    await this.session.close()
    await this.server.close()
    await this.writer.close()
    await this.member.settled()
    await this.store.close()
    await this.directory.close()
  }

  stats(): StorageStats {
    const { frames, samples, bytes, duplicates, conflicts } = this.writer.counters
    return {
      ...{ storeId: this.storeId, frames, samples, bytes, duplicates, conflicts },
      ...{ queuedBytes: this.writer.queuedBytes, rssBytes: process.memoryUsage.rss() },
      refusing: this.refusing(),
    }
  }

  private get storeId(): StoreId {
    return this.directory.identity.storeId
  }

  private async openDisk(): Promise<void> {
    const { config, name } = this.options
    const { name: meshName, replicas, writeQuorum } = config.mesh
    this.directory = await openStoreDirectory({
      directory: join(config.dataPath, name),
      mesh: meshIdentity(meshName, replicas, writeQuorum),
      ...{ shards: SHARDS, clock: systemClock, random: systemRandom },
    })
    this.schemas = await openSchemaStore(this.directory.path('schemas'))
    this.store = await openLevelStore({
      directory: this.directory.directory,
      bucketMs: config.storage.bucketUs / 1000,
    })
    this.latest = new Latest({ decode: (frame) => this.decode(frame) })
    await this.latest.rebuild(this.store)
    this.writer = new Writer<PeerId>({
      ...{ store: this.store, clock: systemClock, budgetBytes: config.storage.budgetBytes },
      onCommitted: (results) => {
        this.ingest.committed(results)
        const stored = results.filter(({ outcome }) => outcome === 'stored')
        this.latest.update(stored)
        this.intake.committed(results)
        for (const { conflict, frame } of results) {
          if (conflict !== undefined) this.options.onWarning(conflictText(frame, conflict))
        }
      },
    })
  }

  private async openMember(): Promise<void> {
    const { config, onWarning } = this.options
    this.member = new StoreMember({
      ...{ storeId: this.storeId, writeQuorum: config.mesh.writeQuorum },
      document: new DurableJson<MemberDocument>(this.directory.path('members.json')),
      membership: () => this.session.membership,
      onChange: () => this.session.membership.announce(),
    })
    await this.member.load()
    this.session = await openSession(config, {
      roles: ['storage'],
      http: () => this.server?.url,
      store: () => ({
        ...{ storeId: this.storeId, joined: this.member.joined, refusing: this.refusing() },
        ...{ grantBytes: this.ingest?.grantBytes() ?? 0, members: this.member.members },
      }),
      onAnnouncement: (announcement) => this.member.hear(announcement),
      onChange: () => this.membershipChanged(),
      onWarning,
    })
    const others = config.seeds.filter((seed) => !this.isSelf(seed))
    if (others.length === 0) await this.member.found()
  }

  private makeIngest(): Ingest {
    const { config } = this.options
    const { mesh, transport } = this.session
    const exchange = new SchemaExchange({
      ...{ mesh, transport, clock: systemClock, scope: 'directed' },
      lookup: (id) => this.schemas.get(id),
      onSchema: (schema) => this.schemas.put(schema),
    })
    void exchange.start()
    return new Ingest({
      ...{ mesh, transport, clock: systemClock, store: this.store, storeId: this.storeId },
      ...{ writer: this.writer, exchange, budgetBytes: config.storage.budgetBytes },
      hasSchema: (id) => this.schemas.has(id),
      isMember: () => this.member.joined && !this.member.isLeaving,
    })
  }

  private makePeer(): LocalPeer {
    return new LocalPeer({
      ...{ storeId: this.storeId, store: this.store, latest: this.latest },
      life: this.session.transport.peerId,
      schemaOf: (id) => this.schemas.get(id),
      members: () => this.memberList(),
      notCounted: () => this.notCounted(),
    })
  }

  private makeRepair(): Repair {
    return new Repair({
      ...{ store: this.store, storeId: this.storeId, clock: systemClock },
      writeQuorum: this.options.config.mesh.writeQuorum,
      members: () => this.memberList(),
      ownedShards: () => this.ownedShards(),
      connect: connectStore,
      keep: (stored) => this.intake.keep(stored),
      hasSchema: (id) => this.schemas.has(id),
      keepSchema: (schema) => this.schemas.put(schema),
      onError: (error) => this.options.onWarning(`repair: ${(error as Error).message}`),
    })
  }

  private makeRemoval(): Removal {
    return new Removal({
      ...{ storeId: this.storeId, replicas: this.options.config.mesh.replicas },
      ...{ member: this.member, clock: systemClock, local: this.peer, connect: connectStore },
      membership: () => this.session.membership,
    })
  }

  private async listen(): Promise<PeerServer> {
    const { host, port } = this.options.config.storage.http
    const asker = new Asker({
      ...{ stores: () => storeView(this.session), clock: systemClock, connect: connectStore },
      local: { storeId: this.storeId, peer: this.peer },
    })
    return createPeerServer({
      ...{ host, port, clock: systemClock, asker, peer: this.peer },
      peers: () => ({
        stores: this.session.membership.stores(),
        peers: this.session.membership.peers(),
      }),
      health: () => this.health(),
      metrics: this.metrics(),
      addRoutes: (app) => {
        app.post('/v1/peers/remove', async (request) => this.remove(request.body))
      },
    })
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
    await this.member.mark(storeId, 'leaving')
    return { storeId, state: this.member.members.get(storeId)! }
  }

  private decode(frame: Frame): readonly Sample[] | undefined {
    const schema = this.schemas.get(frame.schemaId)
    if (schema === undefined) return undefined
    try {
      return codecFor(frame.codec).decode(frame.body, frame.count, schema)
    } catch {
      // What its publisher got wrong is not served, here as in a scan.
      return undefined
    }
  }

  /** Its own table, and where each store can be asked. */
  private memberList(): Member[] {
    return [...this.member.members].map(([storeId, state]) => ({
      ...{ storeId, state },
      http:
        storeId === this.storeId
          ? this.server?.url
          : this.session.membership.storeView(storeId).http,
    }))
  }

  /** Shards that this store keeps: as owner, or in place of one that is suspect. */
  private ownedShards(): number[] {
    const { replicas } = this.options.config.mesh
    const table = this.member.members
    const stores = currentMembers(table).filter((id) => table.get(id) === 'member')
    const owned: number[] = []
    for (let shard = 0; shard < SHARDS; shard++) {
      if (rankStores(shard, stores).slice(0, replicas).includes(this.storeId)) owned.push(shard)
    }
    return owned
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
  }

  /** Why this store acknowledges nothing; undefined when it does. */
  private refusing(): string | undefined {
    const health = this.writer.health()
    if (health.state === 'failing') return `${health.code}: ${health.reason}`
    if (this.member.isLeaving) return 'this store is leaving the mesh'
    if (!this.member.joined) return 'waiting for the other stores to confirm this one'
    return undefined
  }

  private notCounted(): string | undefined {
    if (this.member.isLeaving) return 'it is leaving the mesh'
    if (!this.member.joined) return 'it has not joined the mesh'
    if (!this.repair.caughtUp) return 'it is still catching up'
    return undefined
  }

  private health(): Health {
    const refusing = this.refusing()
    return {
      refusing: refusing !== undefined,
      ready: refusing === undefined,
      reasons: refusing === undefined ? [] : [refusing],
      details: { ...this.stats(), missingFrames: this.repair.missingFrames },
    }
  }

  private isSelf(seed: string): boolean {
    const { transport } = this.options.config
    return seed === this.endpoint || ('bind' in transport && seed === transport.bind)
  }

  private metrics(): MetricsSource {
    const { counters } = this.writer
    const received = this.ingest.counters
    const { transport } = this.session
    return metricsRegistry([
      ['skein_store_frames_total', 'Frames stored since the start', () => counters.frames],
      ['skein_store_samples_total', 'Samples in those frames', () => counters.samples],
      ['skein_store_bytes_total', 'Bytes of those frames', () => counters.bytes],
      ['skein_store_commits_total', 'Batches written and synced', () => counters.batches],
      ['skein_store_fsyncs_total', 'fdatasync calls', () => counters.fsyncs],
      ['skein_store_duplicates_total', 'Frames that were held already', () => counters.duplicates],
      ['skein_store_conflicts_total', 'Names held with other bytes', () => counters.conflicts],
      ['skein_store_queued_bytes', 'Bytes waiting for the disk', () => this.writer.queuedBytes],
      ['skein_store_refusing', '1: acknowledges nothing', () => (this.refusing() ? 1 : 0)],
      ['skein_ingest_rejected_frames_total', 'No frames', () => received.rejectedFrames],
      ['skein_ingest_rejected_messages_total', 'No messages', () => received.rejectedMessages],
      [
        'skein_repair_pulled_frames_total',
        'Frames fetched from other stores',
        () => this.repair.counters.pulledFrames,
      ],
      [
        'skein_repair_missing_frames',
        'Frames others hold and this one should',
        () => this.repair.missingFrames,
      ],
      [
        'skein_transport_sent_messages_total',
        'Messages sent',
        () => transport.counters().sentMessages,
      ],
      [
        'skein_transport_dropped_messages_total',
        'Messages dropped from a full queue',
        () => transport.counters().droppedMessages,
      ],
      [
        'skein_transport_lag_bytes',
        'Bytes queued for other processes',
        () => transport.queuedBytes(),
      ],
    ])
  }
}

function conflictText(frame: Frame, { heldSha256, offeredSha256 }: NameConflict): string {
  const { source, stream, epoch, sequence } = frame
  return (
    `conflict: frame ${sequence} of ${source} (${stream}, epoch ${epoch}) is held as SHA-256 ${heldSha256} ` +
    `and was offered as ${offeredSha256}: kept as it was, its publisher was told`
  )
}
