// A storage peer: takes frames from the mesh, syncs them, acknowledges them, and answers queries.
//
//   transport ─► Ingest ─► Writer ─► FrameStore (disk) ─► acks
//                                      ▲       └─► LocalPeer ─► HTTP: query, digest, frames, health
//   other stores ◄─── Repair ──────────┘
//
// The parts: storage/disk.ts what is on disk, storage/place.ts its place in the mesh, storage/service.ts
// what it serves.
import {
  SchemaExchange,
  systemClock,
  type Frame,
  type PeerId,
  type StoreId,
} from '../mesh/index.ts'
import {
  Ingest,
  LocalPeer,
  Removal,
  Repair,
  RepairIntake,
  StorageError,
  type CommitResult,
  type Health,
  type NameConflict,
  type PeerServer,
  type RefillProgress,
} from '../storage/index.ts'
import { storeConnector } from './asking.ts'
import type { Config } from './config/config.ts'
import { DiskCare } from './storage/disk-care.ts'
import { StoreDisk, type Held } from './storage/disk.ts'
import { storageMetrics } from './storage/metrics.ts'
import { Place } from './storage/place.ts'
import { serve } from './storage/service.ts'
import { whyNotCounted } from './storage/standing.ts'

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
  /** How far that has come; absent while there is nothing to fetch. */
  readonly refill?: RefillProgress
  readonly rssBytes: number
  /** Why it acknowledges nothing; absent when it does. */
  readonly refusing?: string
}

/**
 * Of the writer's budget: 2 MiB, enough to keep an idle disk busy. With 8 MiB of publishers' frames waiting
 * it is a fifth of what waits, and so of the disk; they fill half of the budget at most.
 */
const REPAIR_SHARE = 1 / 32

export class StorageNode {
  private readonly options: StorageOptions
  /** What start() has opened, closed in the reverse order. */
  private readonly opened = new AsyncDisposableStack()
  private readonly intake: RepairIntake
  private disk!: StoreDisk
  private place!: Place
  private ingest!: Ingest
  private peer!: LocalPeer
  private repair!: Repair
  private care!: DiskCare
  private server!: PeerServer

  constructor(options: StorageOptions) {
    this.options = options
    const { budgetBytes } = options.config.storage
    this.intake = new RepairIntake(() => this.disk.writer, budgetBytes * REPAIR_SHARE)
  }

  /** Where others link to it. */
  get endpoint(): string | undefined {
    return this.place.endpoint
  }

  get http(): string {
    return this.server.url
  }

  get storeId(): StoreId {
    return this.place.storeId
  }

  /**
   * @throws StorageError STORE_IN_USE, STORE_WRONG_MESH, STORE_FORMAT_UNKNOWN, STORE_DAMAGED;
   * MeshError MESH_ADDRESS_IN_USE, MESH_ADDRESS_INVALID; NodeError NODE_ADDRESS_IN_USE.
   */
  async start(): Promise<void> {
    try {
      this.disk = this.opened.use(await this.openDisk())
      this.warnOfSchemas()
      this.place = this.opened.use(await this.openPlace())
      this.ingest = await this.openIngest()
      this.peer = this.makePeer()
      this.repair = this.makeRepair()
      this.care = this.makeCare()
      this.server = this.opened.use(await this.listen())
      await this.ingest.start()
      this.ingest.assign(this.place.takenShards())
      await this.startUpkeep()
    } catch (error) {
      await this.close()
      throw error
    }
    this.place.announce()
  }

  /** Why it acknowledges nothing, and /readyz is 503; undefined when it does. */
  refusing(): string | undefined {
    return this.place.refusing()
  }

  /** Stops taking frames, settles what was taken, seals the store. */
  async close(): Promise<void> {
    // What was taken is acknowledged while there is still a link to say it on.
    await this.ingest?.stop()
    await this.disk?.writer.drain()
    await this.opened.disposeAsync()
  }

  async stats(): Promise<StorageStats> {
    const { samples, bytes, duplicates, conflicts } = this.disk.writer.counters
    const refusing = this.refusing()
    const refill = this.repair.progress()
    return {
      storeId: this.storeId,
      ...(await this.disk.held()),
      writtenSamples: samples,
      writtenBytes: bytes,
      duplicates,
      conflicts,
      queuedBytes: this.disk.writer.queuedBytes,
      missingFrames: this.repair.missingFrames,
      ...(refill !== undefined && { refill }),
      rssBytes: process.memoryUsage.rss(),
      ...(refusing !== undefined && { refusing }),
    }
  }

  private openDisk(): Promise<StoreDisk> {
    const { config, name } = this.options
    return StoreDisk.open({ config, name, onCommitted: (results) => this.committed(results) })
  }

  private warnOfSchemas(): void {
    const { damaged } = this.disk.schemas
    if (damaged.length === 0) return
    this.options.onWarning(
      `damaged schema files: ${damaged.join(', ')}; they are fetched from another store`,
    )
  }

  private openPlace(): Promise<Place> {
    const { config, name, onWarning } = this.options
    return Place.open({
      config,
      name,
      disk: this.disk,
      onWarning,
      http: () => this.server?.url,
      grantBytes: () => this.ingest?.grantBytes() ?? 0,
      onOthersChanged: () => this.repair?.kick(),
      onStoresChanged: () => this.ingest?.assign(this.place.takenShards()),
      lagFrames: () => (this.repair?.missingFrames ?? 0) + (this.ingest?.lag() ?? 0),
    })
  }

  private async openIngest(): Promise<Ingest> {
    const { mesh, transport } = this.place.session
    const { schemas, writer } = this.disk
    const exchange = new SchemaExchange({
      mesh,
      transport,
      clock: systemClock,
      scope: 'directed',
      lookup: (id) => schemas.get(id),
      onSchema: (schema) => schemas.put(schema),
    })
    await exchange.start()
    return new Ingest({
      mesh,
      transport,
      clock: systemClock,
      storeId: this.storeId,
      writer,
      exchange,
      budgetBytes: this.options.config.storage.budgetBytes,
      hasSchema: (id) => schemas.has(id),
      isMember: () => this.place.isMember,
    })
  }

  private makePeer(): LocalPeer {
    const { store, latest, schemas } = this.disk
    return new LocalPeer({
      storeId: this.storeId,
      store,
      latest,
      life: this.place.session.transport.peerId,
      schemaOf: (id) => schemas.get(id),
      members: () => this.place.members(),
      notCounted: () => whyNotCounted(this.place.member, this.repair),
    })
  }

  private makeRepair(): Repair {
    const { store, schemas } = this.disk
    return new Repair({
      store,
      fingerprints: this.peer.fingerprints,
      storeId: this.storeId,
      clock: systemClock,
      writeQuorum: this.options.config.mesh.writeQuorum,
      members: () => this.place.members(),
      isMember: () => this.place.isMember,
      ownedShards: () => this.place.ownedShards(),
      connect: storeConnector(this.place.session),
      intake: this.intake,
      schemas,
      onError: (error) => {
        // A store that is away is counted, and shows among the peers; it is looked for again.
        if (error instanceof StorageError && error.code === 'QUERY_NO_PEER') return
        this.options.onWarning(`repair: ${(error as Error).message}`)
      },
    })
  }

  private makeCare(): DiskCare {
    const { config, onWarning } = this.options
    const onDamage = (): void => this.repair.kick()
    return new DiskCare({ config, disk: this.disk, onDamage, onWarning })
  }

  private listen(): Promise<PeerServer> {
    const { disk, ingest, repair, care, place, peer } = this
    const { transport } = place.session
    const refusing = (): string | undefined => this.refusing()
    return serve({
      config: this.options.config,
      place,
      peer,
      health: () => this.health(),
      metrics: storageMetrics({
        disk,
        ingest,
        repair,
        care,
        transport,
        refusing,
      }),
    })
  }

  /** What goes on in the background for as long as the peer lives. */
  private async startUpkeep(): Promise<void> {
    const { place, peer } = this
    const removal = new Removal({
      storeId: this.storeId,
      replicas: this.options.config.mesh.replicas,
      member: place.member,
      clock: systemClock,
      local: peer,
      connect: storeConnector(this.place.session),
      membership: () => place.session.membership,
    })
    this.repair.start()
    this.opened.defer(() => this.repair.stop())
    this.opened.use(this.care)
    await this.care.start()
    removal.start()
    this.opened.defer(() => removal.stop())
  }

  private committed(results: readonly CommitResult<PeerId>[]): void {
    this.ingest.committed(results)
    this.intake.committed(results)
    for (const { conflict, frame } of results) {
      if (conflict !== undefined) this.options.onWarning(conflictText(frame, conflict))
    }
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
}

function conflictText(frame: Frame, { heldSha256, offeredSha256 }: NameConflict): string {
  const { source, stream, epoch, sequence } = frame
  return (
    `conflict: frame ${sequence} of ${source} (${stream}, epoch ${epoch}) is held as SHA-256 ${heldSha256} ` +
    `and was offered as ${offeredSha256}: kept as it was, its publisher was told`
  )
}
