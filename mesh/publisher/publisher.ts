// The publisher: what a vehicle, a gateway or a replay holds. It names samples, keeps them until W
// stores hold them, and says so (docs/delivery.md). This file connects the parts:
//
//   Series (gathers) ──seal──► OutgoingLane (names) ──► Outbox (keeps) ──► Sender (sends, learns of acks)
import type { AckLevel } from '../ack.ts'
import type { Clock, Random, Timer } from '../clock.ts'
import { codecFor, createColumnarCodec } from '../codecs/index.ts'
import type { Codec } from '../codec.ts'
import { MeshError } from '../errors.ts'
import { encodeFrame, NO_SCHEMA, openFrame, type CodecName, type FrameHeader } from '../frame.ts'
import type { Membership, MeshIdentity } from '../membership.ts'
import { newEpoch, type Epoch, type LaneKey, type SchemaId, type StoreId } from '../names.ts'
import type { OutboxLog, RecoveredLane, RecoveredSample } from '../outbox/log.ts'
import { rankStores } from '../placement.ts'
import type { Sample } from '../sample.ts'
import { SchemaExchange } from '../schema-exchange.ts'
import type { Schema } from '../schema.ts'
import { isPeerTransport, type Transport } from '../transport.ts'
import type { PeerInfo } from '../announcement.ts'
import { Entry } from './entry.ts'
import { OutgoingLane } from './lane.ts'
import { Outbox, type WhenFull } from './outbox.ts'
import { RETRY_CHECK_MS, Sender } from './sender.ts'
import { Series, type SeriesHost } from './series.ts'

export const LINGER_MS_DEFAULT = 5
export const FRAME_BYTES_DEFAULT = 16 * 1024
export const OUTBOX_MEMORY_BYTES_DEFAULT = 64 * 1024 * 1024
export const OUTBOX_DISK_BYTES_DEFAULT = 1024 * 1024 * 1024
/** With no link up nothing is gained by sending soon: samples gather this long. */
const OFFLINE_LINGER_MS = 1000

export interface PublisherOptions {
  readonly mesh: MeshIdentity
  readonly transport: Transport
  readonly membership: Membership
  readonly clock: Clock
  readonly random: Random
  /** Default `columnar`. */
  readonly codec?: CodecName
  /** For streams that want another codec. */
  readonly codecOf?: (stream: string) => CodecName | undefined
  /** zstd inside columnar bodies. Default false. */
  readonly compress?: boolean
  /** Declared schemas by stream; other streams get an inferred one. */
  readonly schemas?: ReadonlyMap<string, Schema>
  readonly whenFull?: (stream: string) => WhenFull
  readonly lingerMs?: number
  readonly frameBytes?: number
  readonly outboxMemoryBytes?: number
  readonly outboxDiskBytes?: number
  /** The outbox on disk, opened; the publisher closes it. */
  readonly outboxLog?: OutboxLog
  /** What counts as stored. Default `synced`. */
  readonly level?: AckLevel
  /** For a replay: names that derive from what is replayed. Default: a new epoch. */
  readonly epoch?: Epoch
  /** Called for each data frame that W stores hold. */
  readonly onReceipt?: (receipt: FrameReceipt) => void
  /** Called for each accepted sample that is given up, because no frame can hold it. */
  readonly onUnfit?: (unfit: UnfitSample) => void
}

export interface UnfitSample {
  readonly source: string
  readonly stream: string
  readonly sample: Sample
  readonly error: MeshError
}

export interface Receipt {
  readonly level: AckLevel
  readonly stores: readonly StoreId[]
}

export interface FrameReceipt extends Receipt {
  readonly source: string
  readonly stream: string
  readonly epoch: Epoch
  readonly sequence: number
  readonly count: number
  /** Event times of the frame's samples, in the order published; µs. Only kept for frames of this life. */
  readonly timesUs: readonly number[]
}

export interface PublisherCounters {
  samplesPublished: number
  samplesStored: number
  framesStored: number
  samplesRefused: number
  samplesDroppedOldest: number
  samplesDroppedNewest: number
  /** Given up: recovered, and its schema is stricter now; or too large for a frame once encoded. */
  samplesUnfit: number
  framesDamaged: number
  conflicts: number
}

/** What a series has gathered for one frame. */
interface Batch extends ReturnType<Series['take']> {
  readonly series: Series
  readonly schema: Schema
}

export class Publisher implements AsyncDisposable {
  readonly counters: PublisherCounters = {
    ...{ samplesPublished: 0, samplesStored: 0, framesStored: 0, samplesRefused: 0 },
    ...{ samplesDroppedOldest: 0, samplesDroppedNewest: 0, samplesUnfit: 0, framesDamaged: 0 },
    conflicts: 0,
  }
  readonly epoch: Epoch
  private readonly options: PublisherOptions
  private readonly columnar: Codec
  private readonly level: AckLevel
  private readonly outbox: Outbox
  private readonly schemas: SchemaExchange
  private readonly sender: Sender
  private readonly seriesByName = new Map<string, Series>()
  private readonly lanes = new Map<LaneKey, OutgoingLane>()
  private readonly receiptTimes = new Map<Entry, readonly number[]>()
  private readonly host: SeriesHost
  /** Series with open samples, oldest first. */
  private readonly openSeries = new Set<Series>()
  /** Taken from their series, oldest first: empty but while the outbox log cannot be written. */
  private batches: Batch[] = []
  private writtenWaiters: (() => void)[] = []
  /** Sealed in this turn and not yet handed to the sender. */
  private sealed: Entry[] = []
  private turnEnds = false
  private lingering: Timer | undefined
  private waitsForTransport = false
  private retryTimer: Timer | undefined
  private closed = false
  /** Shards published to, and the stores to be linked with for them. */
  private readonly shards = new Set<number>()
  private nearStores: ReadonlySet<StoreId> = new Set()
  private nearView = ''
  private isLinked = false
  /** Frames of sources that are off the network. */
  private readonly offline = new Map<string, Entry[]>()
  /** Lanes with dropped sequences that no skip frame lists yet. */
  private readonly skipping = new Set<OutgoingLane>()
  /** Lanes of earlier lives that get an end frame once all before it is stored. */
  private readonly draining = new Set<OutgoingLane>()

  constructor(options: PublisherOptions) {
    this.options = options
    this.columnar = createColumnarCodec({ compress: options.compress ?? false })
    this.level = options.level ?? 'synced'
    this.epoch = options.epoch ?? newEpoch(options.clock.nowUs(), options.random)
    this.outbox = new Outbox(
      {
        memoryBytes: options.outboxMemoryBytes ?? OUTBOX_MEMORY_BYTES_DEFAULT,
        diskBytes: options.outboxDiskBytes ?? OUTBOX_DISK_BYTES_DEFAULT,
      },
      options.outboxLog,
    )
    const { mesh, transport, membership, clock } = options
    this.schemas = new SchemaExchange({ mesh, transport, clock, scope: 'directed' })
    for (const schema of options.schemas?.values() ?? []) this.schemas.add(schema)
    this.sender = new Sender({
      ...{ mesh, transport, membership, clock, schemas: this.schemas, outbox: this.outbox },
      level: this.level,
      laneByKey: (key) => this.lanes.get(key),
      onDone: (entry) => this.done(entry),
      onConflict: (entry) => this.rename(entry),
      onDamaged: (entry) => this.damaged(entry),
    })
    this.host = this.seriesHost()
  }

  /** Subscribes to acks, takes up what an earlier life left in the outbox, and begins to send. */
  async start(): Promise<void> {
    await this.schemas.start()
    await this.sender.start()
    const { transport } = this.options
    if (isPeerTransport(transport)) {
      this.isLinked = transport.linked().size > 0
      transport.onLink(() => (this.isLinked = transport.linked().size > 0))
    }
    this.recover()
    this.retry()
  }

  /** The series of a source; the same object for the same names. @throws RangeError for bad names. */
  series(stream: string, source: string): Series {
    const name = `${stream}\n${source}`
    let series = this.seriesByName.get(name)
    if (series === undefined) {
      const { schemas, whenFull } = this.options
      series = new Series(this.host, {
        ...{ source, stream, epoch: this.epoch, schema: schemas?.get(stream) },
        whenFull: whenFull?.(stream) ?? 'refuse',
      })
      this.seriesByName.set(name, series)
      this.addShard(series.lane.shard)
      series.lane.earlier = this.lanes.get(series.lane.key)
      this.lanes.set(series.lane.key, series.lane)
    }
    return series
  }

  /** Shorthand for `series(stream, source).publish(sample)`. */
  publish(stream: string, source: string, sample: Sample): boolean {
    return this.series(stream, source).publish(sample)
  }

  /**
   * Publishes samples as exactly one frame, for a replay whose cuts must not depend on time. False
   * when the outbox is full: await room() and try again.
   */
  publishFrame(stream: string, source: string, samples: readonly Sample[]): boolean {
    return this.series(stream, source).publishFrame(samples)
  }

  /**
   * Takes a source off the network or back on it, for a simulated vehicle that loses its link: its
   * frames wait in the outbox meanwhile, and drain as backlog when it is back.
   */
  setOnline(source: string, online: boolean): void {
    const held = this.offline.get(source)
    if (online === (held === undefined)) return
    this.sealAll()
    if (online) {
      this.offline.delete(source)
      this.sender.sendBacklog(held!)
    } else {
      this.offline.set(source, [])
    }
  }

  /** Resolves when the outbox is at most half full. */
  async room(): Promise<void> {
    this.endTurn()
    await this.outbox.room()
  }

  /**
   * Resolves once every sample accepted so far is stored, with the stores that hold the last one.
   * Stays pending while W stores cannot be reached.
   */
  async stored(): Promise<Receipt> {
    this.sealAll()
    await this.written()
    const stores = await this.outbox.drained()
    return { level: this.level, stores: [...stores] }
  }

  get pendingSamples(): number {
    return this.outbox.pendingSamples
  }

  get pendingFrames(): number {
    return this.outbox.pendingFrames
  }

  get outboxBytes(): number {
    return this.outbox.memoryBytes
  }

  /** Stores and how they are doing, for status and metrics. */
  get queues(): Sender['stores'] {
    return () => this.sender.stores()
  }

  /** Why nothing can be acknowledged now; undefined when W stores are within reach. */
  trouble(): string | undefined {
    if (this.batches.length > 0) return 'the outbox log cannot be written'
    const { writeQuorum } = this.options.mesh
    const { usableStores } = this.sender
    if (usableStores >= writeQuorum) return undefined
    return `${usableStores} of the ${writeQuorum} stores that must hold a frame can be reached`
  }

  /** Whether this publisher wants a link to that peer: owners of its shards, their stand-ins, live subscribers. */
  wants(peer: PeerInfo): boolean {
    if (peer.roles.some((role) => role !== 'storage')) return true
    return peer.storeId !== undefined && this.near().has(peer.storeId)
  }

  private addShard(shard: number): void {
    if (this.shards.has(shard)) return
    this.shards.add(shard)
    this.options.membership.relink()
  }

  /** For each shard published: its owners, and as many in reach as could take their place. */
  private near(): ReadonlySet<StoreId> {
    const { mesh, membership } = this.options
    const stores = membership.stores().filter(({ leaving }) => !leaving)
    const view = stores.map(({ storeId, suspect }) => `${storeId}${suspect ? '?' : ''}`).join()
    if (this.nearView === `${this.shards.size} ${view}`) return this.nearStores
    this.nearView = `${this.shards.size} ${view}`
    const ids = stores.map(({ storeId }) => storeId)
    // In a mesh this small everybody is near: linked before the first sample needs it.
    if (ids.length <= mesh.replicas + 1) return (this.nearStores = new Set(ids))
    const inReach = stores.filter(({ suspect }) => !suspect).map(({ storeId }) => storeId)
    const near = new Set<StoreId>()
    for (const shard of this.shards) {
      for (const id of rankStores(shard, ids).slice(0, mesh.replicas)) near.add(id)
      for (const id of rankStores(shard, inReach).slice(0, mesh.replicas + 1)) near.add(id)
    }
    this.nearStores = near
    return near
  }

  /** The stores are not what they were. */
  membershipChanged(): void {
    this.sender.refresh()
  }

  /**
   * Seals what is open, closes the epoch's lanes unless told not to, and waits up to `drainMs` for
   * the rest to be stored. Returns how many samples were not: with a disk outbox they are sent by
   * the next life, otherwise they are gone.
   */
  async close(options: { drainMs?: number; end?: boolean } = {}): Promise<number> {
    if (this.closed) return this.pendingSamples
    for (const source of this.offline.keys()) this.setOnline(source, true)
    this.sealAll()
    this.closed = true
    // A replay's epoch is closed only by one that reached the end of the recording, and says so.
    if (options.end ?? this.options.epoch === undefined) this.endAll()
    this.endTurn()
    const drained = this.written().then(async () => void (await this.outbox.drained()))
    await withTimeout(drained, options.drainMs ?? 8000, this.options.clock)
    this.sender.stop()
    this.retryTimer?.cancel()
    this.lingering?.cancel()
    await this.outbox.log?.close()
    return this.pendingSamples
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private seriesHost(): SeriesHost {
    const { outbox, counters, options } = this
    return {
      frameBytes: options.frameBytes ?? FRAME_BYTES_DEFAULT,
      hasRoom: (bytes) => {
        if (this.closed) throw new MeshError('MESH_PUBLISHER_CLOSED', 'publisher is closed')
        return outbox.hasRoom(bytes)
      },
      dropOldest: (stream, bytes) => this.dropOldest(stream, bytes),
      accept: ({ stream, source }, sample, bytes) => {
        const ordinal = outbox.log?.appendSample(stream, source, sample)
        outbox.sampleOpened(bytes)
        counters.samplesPublished += 1
        return ordinal
      },
      adopted: (bytes) => outbox.sampleOpened(bytes),
      schedule: (series) => this.schedule(series),
      seal: (series) => this.seal(series),
      dropped: (lane, reason, samples) => {
        if (reason !== 'refused') this.skipping.add(lane)
        if (reason === 'refused') counters.samplesRefused += samples
        else if (reason === 'oldest') counters.samplesDroppedOldest += samples
        else counters.samplesDroppedNewest += samples
      },
    }
  }

  /** Sees that the series is sealed at the end of this turn, or when the transport has caught up. */
  private schedule(series: Series): void {
    series.openedAtMs = this.options.clock.monotonicMs()
    this.openSeries.add(series)
    if (this.turnEnds) return
    const { transport } = this.options
    const lingerMs = this.options.lingerMs ?? LINGER_MS_DEFAULT
    const offline = isPeerTransport(transport) && !this.isLinked
    if (!offline && (lingerMs === 0 || transport.queuedBytes() === 0)) {
      this.turnEnds = true
      queueMicrotask(() => this.sealAll())
      return
    }
    this.linger(offline ? OFFLINE_LINGER_MS : lingerMs)
    if (offline || this.waitsForTransport) return
    this.waitsForTransport = true
    void transport.flush().then(
      () => this.transportCaughtUp(),
      () => this.transportCaughtUp(),
    )
  }

  private transportCaughtUp(): void {
    this.waitsForTransport = false
    this.sealAll()
  }

  private linger(lingerMs: number): void {
    this.lingering ??= this.options.clock.startTimer(lingerMs, () => {
      this.lingering = undefined
      this.sealAll()
    })
  }

  private sealAll(): void {
    for (const series of this.openSeries) this.seal(series)
    this.endTurn()
  }

  /** Takes what a series holds and makes a frame of it. */
  private seal(series: Series): void {
    if (series.open.length === 0) return
    this.openSeries.delete(series)
    this.batches.push({ series, schema: series.schema!, ...series.take() })
    // When others wait already, retry() is what looks after them.
    if (this.batches.length === 1) this.sealBatches()
  }

  /**
   * Seals what was taken, in order. While the outbox log cannot be written (disk full) the rest waits
   * for the next try: it is accepted, and what comes after it must not pass it.
   */
  private sealBatches(): void {
    for (let batch = this.batches.shift(); batch !== undefined; batch = this.batches.shift()) {
      try {
        this.sealBatch(batch)
      } catch (error) {
        if (!(error instanceof MeshError)) throw error
        if (error.code === 'MESH_OUTBOX_WRITE_FAILED') {
          this.batches.unshift(batch)
          return
        }
        if (batch.samples.length > 1) this.batches.unshift(...halves(batch))
        else this.giveUp(batch, error)
      }
    }
    for (const resolve of this.writtenWaiters.splice(0)) resolve()
  }

  /** Resolves when all that was accepted is in sealed frames. */
  private async written(): Promise<void> {
    if (this.batches.length === 0) return
    await new Promise<void>((resolve) => this.writtenWaiters.push(resolve))
  }

  /** No frame can hold this one sample. */
  private giveUp({ series, samples, ordinals, bytes }: Batch, error: MeshError): void {
    this.outbox.samplesSealed(1, bytes)
    this.unfit(series, samples[0]!, ordinals, error)
  }

  private unfit(
    { stream, source }: { stream: string; source: string },
    sample: Sample,
    ordinals: readonly number[],
    error: MeshError,
  ): void {
    this.counters.samplesUnfit += 1
    this.outbox.log?.dropSamples(ordinals)
    this.options.onUnfit?.({ stream, source, sample, error })
  }

  /** Makes a frame and gives it its name. @throws MeshError: then nothing has changed. */
  private sealBatch({ series, schema, samples, ordinals, bytes, firstUs, lastUs }: Batch): void {
    const { lane } = series
    this.schemas.add(schema)
    this.outbox.log?.appendSchema(schema)
    // While nobody can be reached runs of dropped frames keep growing: list them once that ends.
    if (this.skipping.size > 0 && this.trouble() === undefined) this.sealSkips(lane)
    const codec = this.codecOf(series.stream)
    const body = codec.encode(samples, schema)
    const entry = this.name(
      lane,
      {
        ...{ kind: 'data', codec: codec.name, firstUs, lastUs },
        ...{ count: samples.length, schemaId: schema.id },
      },
      body,
      ordinals,
    )
    this.outbox.samplesSealed(samples.length, bytes)
    if (this.options.onReceipt !== undefined) {
      this.receiptTimes.set(
        entry,
        samples.map(({ timeUs }) => timeUs),
      )
    }
  }

  private codecOf(stream: string): Codec {
    const name = this.options.codecOf?.(stream) ?? this.options.codec ?? 'columnar'
    return name === 'columnar' ? this.columnar : codecFor(name)
  }

  /**
   * Gives a frame the next sequence of its lane and puts it in the outbox.
   * @throws MeshError MESH_OUTBOX_WRITE_FAILED, MESH_FRAME_TOO_LARGE: then the name is not given.
   */
  private name(
    lane: OutgoingLane,
    header: Omit<FrameHeader, 'source' | 'stream' | 'epoch' | 'sequence'>,
    body: Uint8Array,
    ordinals: readonly number[] = [],
    inPlaceOf?: Entry,
  ): Entry {
    const sequence = lane.lastSequence + 1
    const { source, stream, epoch } = lane
    const bytes = encodeFrame({ ...header, source, stream, epoch, sequence }, body)
    const position = this.outbox.log?.appendSeal(bytes, ordinals)
    lane.lastSequence = sequence
    const { kind, count, schemaId } = header
    const size = bytes.length
    const entry = new Entry({ lane, sequence, kind, schemaId, count, size, bytes, position })
    this.keep(entry, inPlaceOf)
    this.sealed.push(entry)
    if (!this.turnEnds) {
      this.turnEnds = true
      queueMicrotask(() => this.sealAll())
    }
    return entry
  }

  private keep(entry: Entry, inPlaceOf?: Entry): void {
    entry.lane.pending.push(entry)
    this.outbox.add(entry, inPlaceOf)
  }

  /** False when the outbox log cannot be written now; what was to be written must be tried again. */
  private attempt(write: () => void): boolean {
    try {
      write()
      return true
    } catch (error) {
      if (error instanceof MeshError && error.code === 'MESH_OUTBOX_WRITE_FAILED') return false
      throw error
    }
  }

  private endTurn(): void {
    this.turnEnds = false
    if (this.sealed.length === 0) return
    // A frame may have been dropped, for want of room, in the very turn it was sealed in.
    const sealed = this.sealed.filter(({ state }) => state === 'pending')
    this.sealed = []
    if (this.offline.size === 0) this.sender.send(sealed)
    else this.sender.send(sealed.filter((entry) => !this.holdBack(entry)))
  }

  private holdBack(entry: Entry): boolean {
    const held = this.offline.get(entry.lane.source)
    held?.push(entry)
    return held !== undefined
  }

  private done(entry: Entry): void {
    const { counters, options } = this
    if (entry.kind === 'data') {
      counters.framesStored += 1
      counters.samplesStored += entry.count
      if (options.onReceipt !== undefined) {
        const { source, stream, epoch } = entry.lane
        const timesUs = this.receiptTimes.get(entry) ?? []
        this.receiptTimes.delete(entry)
        options.onReceipt({
          ...{ source, stream, epoch, sequence: entry.sequence, count: entry.count },
          ...{ timesUs, level: this.level, stores: entry.heldBy },
        })
      }
    }
    this.outbox.finish(entry, 'done')
  }

  private dropOldest(stream: string, bytes: number): boolean {
    while (!this.outbox.hasDroppedEnough(bytes)) {
      const entry = this.outbox.oldest(stream)
      if (entry === undefined) return false
      entry.lane.skip(entry.sequence, entry.count)
      this.host.dropped(entry.lane, 'oldest', entry.count)
      this.receiptTimes.delete(entry)
      this.outbox.finish(entry, 'dropped')
    }
    return this.outbox.mayExceed(bytes)
  }

  /** Tells readers which sequences of this lane were dropped. */
  private sealSkips(lane: OutgoingLane): void {
    if (lane.skips.length === 0 || lane.ended) {
      this.skipping.delete(lane)
      return
    }
    const runs = lane.skips.map(({ from, to, samples }) => [from, to, samples])
    const count = lane.skips.reduce((sum, { samples }) => sum + samples, 0)
    const nowUs = this.options.clock.nowUs()
    this.name(
      lane,
      {
        ...{ kind: 'skip', codec: 'json', firstUs: nowUs, lastUs: nowUs },
        ...{ count: Math.min(count, 65_536), schemaId: NO_SCHEMA },
      },
      Buffer.from(JSON.stringify({ runs })),
    )
    this.skipping.delete(lane)
    lane.skips = []
  }

  /** Closes a lane: nothing follows. A lane that never had a frame needs no end. */
  private end(lane: OutgoingLane): void {
    this.sealSkips(lane)
    if (lane.ended || lane.lastSequence === 0) return
    const header = { codec: 'none', firstUs: 0, lastUs: 0, count: 0, schemaId: NO_SCHEMA } as const
    this.name(lane, { kind: 'end', ...header }, Buffer.alloc(0))
    lane.ended = true
  }

  /** Closes the lanes of this life, and of earlier ones what can be; the next life closes the rest. */
  private endAll(): void {
    this.endDrained()
    // What waits for the outbox log is still to be numbered in them.
    if (this.batches.length > 0) return
    for (const { lane } of this.seriesByName.values()) {
      if (!this.attempt(() => this.end(lane))) return
    }
  }

  private endDrained(): void {
    for (const lane of this.draining) {
      if (lane.pending.length > 0) continue
      if (!this.attempt(() => this.end(lane))) return
      this.draining.delete(lane)
    }
  }

  /** A store holds other bytes under this name: the frame gets a name in a new epoch. */
  private rename(entry: Entry): void {
    this.counters.conflicts += 1
    // Not now: the store will say it again.
    if (entry.kind === 'data' && !this.attempt(() => this.nameAnew(entry))) return
    this.receiptTimes.delete(entry)
    this.outbox.finish(entry, 'dropped')
    this.endTurn()
  }

  private nameAnew(entry: Entry): void {
    const { lane: old } = entry
    const { clock, random } = this.options
    const frame = openFrame(this.outbox.bytesOf(entry))
    const series = this.series(old.stream, old.source)
    if (series.lane.key === old.key || series.lane.ended) {
      series.lane = this.addLane(old.source, old.stream, newEpoch(clock.nowUs(), random))
    }
    const renamed = this.name(series.lane, frame, frame.body, [], entry)
    const timesUs = this.receiptTimes.get(entry)
    if (timesUs !== undefined) this.receiptTimes.set(renamed, timesUs)
  }

  /** The outbox log cannot give the frame back: it is lost here, and readers are told so. */
  private damaged(entry: Entry): void {
    this.counters.framesDamaged += 1
    entry.lane.skip(entry.sequence, entry.count)
    this.skipping.add(entry.lane)
    this.receiptTimes.delete(entry)
    this.outbox.finish(entry, 'dropped')
  }

  private addLane(source: string, stream: string, epoch: Epoch, lastSequence = 0): OutgoingLane {
    const lane = new OutgoingLane(source, stream, epoch, lastSequence)
    this.lanes.set(lane.key, lane)
    this.addShard(lane.shard)
    return lane
  }

  /** Takes up what earlier lives left: their frames under their old names, their samples under new ones. */
  private recover(): void {
    const { log } = this.outbox
    if (log === undefined) return
    const { lanes, frames, samples } = log.recovered
    for (const lane of lanes) this.recoverLane(lane)
    for (const id of new Set(frames.map(({ frame }) => frame.schemaId))) this.recoverSchema(id)
    const backlog = frames.map(({ position, size, frame }) => {
      const { sequence, kind, count, schemaId } = frame
      const lane = this.lanes.get(frame.laneKey)!
      const entry = new Entry({ lane, sequence, kind, schemaId, count, size, position })
      this.keep(entry)
      return entry
    })
    for (const sample of samples) this.recoverSample(sample)
    log.forgetRecovered()
    this.sender.sendBacklog(backlog)
    this.endDrained()
    this.sealAll()
  }

  /** A lane whose end nobody knows gets no end frame: it counts as over after 24 h of silence. */
  private recoverLane({
    source,
    stream,
    epoch,
    lastSequence,
    ended,
    uncertain,
  }: RecoveredLane): void {
    const lane = this.addLane(source, stream, epoch, lastSequence)
    // Nor do a replay's lanes: when the same recording is replayed again, it goes on with them.
    lane.ended = ended || uncertain || this.options.epoch !== undefined
    if (!lane.ended) this.draining.add(lane)
  }

  private recoverSchema(id: SchemaId): void {
    const schema = id === NO_SCHEMA ? undefined : this.outbox.log!.schema(id)
    if (schema !== undefined) this.schemas.add(schema)
  }

  private recoverSample({ stream, source, sample, ordinal }: RecoveredSample): void {
    // A replay names its frames by what is in them, and publishes this sample again in its place.
    if (this.options.epoch !== undefined) {
      this.outbox.log!.dropSamples([ordinal])
      return
    }
    try {
      this.series(stream, source).adopt(sample, ordinal)
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      this.unfit({ stream, source }, sample, [ordinal], error)
    }
  }

  private retry(): void {
    this.sender.tick()
    this.outbox.checkRoom()
    this.sealBatches()
    this.endDrained()
    if (this.skipping.size > 0 && this.trouble() === undefined) {
      for (const lane of this.skipping) if (!this.attempt(() => this.sealSkips(lane))) break
    }
    this.retryTimer = this.options.clock.startTimer(RETRY_CHECK_MS, () => this.retry())
  }
}

function halves(batch: Batch): Batch[] {
  const { samples, ordinals, bytes } = batch
  const middle = samples.length >>> 1
  return [
    { from: 0, to: middle, bytes: bytes >>> 1 },
    { from: middle, to: samples.length, bytes: bytes - (bytes >>> 1) },
  ].map(({ from, to, bytes }) => {
    const part = samples.slice(from, to)
    const times = part.map(({ timeUs }) => timeUs)
    return {
      ...batch,
      samples: part,
      ordinals: ordinals.slice(from, to),
      bytes,
      firstUs: Math.min(...times),
      lastUs: Math.max(...times),
    }
  })
}

async function withTimeout(promise: Promise<void>, ms: number, clock: Clock): Promise<void> {
  let timer: Timer | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = clock.startTimer(ms, resolve)
  })
  await Promise.race([promise, timeout])
  timer?.cancel()
}
