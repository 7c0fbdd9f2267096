// The publisher: what a vehicle, a gateway or a replay holds. It names samples, keeps them until W
// stores hold them, and says so (docs/delivery.md). This file connects the parts:
//
//   Series (gathers) ──seal──► OutgoingLane (names) ──► Outbox (keeps) ──► Sender (sends, learns of acks)
import type { AckLevel } from '../ack.ts'
import type { PeerInfo } from '../announcement.ts'
import type { Timer } from '../clock.ts'
import { MeshError } from '../errors.ts'
import { newEpoch, type Epoch, type LaneKey } from '../names.ts'
import type { Sample } from '../sample.ts'
import { SchemaExchange } from '../schema-exchange.ts'
import { isBrokerTransport, isPeerTransport } from '../transport.ts'
import { atMost } from '../waiting.ts'
import { isPending, type Entry } from './entry.ts'
import { OutgoingLane } from './lane.ts'
import { Neighbours } from './neighbours.ts'
import {
  FRAME_BYTES_DEFAULT,
  LINGER_MS_DEFAULT,
  newCounters,
  OUTBOX_DISK_BYTES_DEFAULT,
  OUTBOX_MEMORY_BYTES_DEFAULT,
  type PublisherOptions,
  type Receipt,
} from './options.ts'
import { Outbox } from './outbox.ts'
import { recover } from './recovery.ts'
import { Sealer } from './sealer.ts'
import { RETRY_CHECK_MS, Sender } from './sender.ts'
import { Series, type SeriesHost } from './series.ts'

/** With nobody to send to nothing is gained by sending soon: samples gather this long. */
const OFFLINE_LINGER_MS = 1000

export class Publisher implements AsyncDisposable {
  readonly counters = newCounters()
  readonly epoch: Epoch
  private readonly options: PublisherOptions
  private readonly level: AckLevel
  private readonly outbox: Outbox
  private readonly schemas: SchemaExchange
  private readonly sender: Sender
  private readonly seriesByName = new Map<string, Series>()
  private readonly lanes = new Map<LaneKey, OutgoingLane>()
  private readonly host: SeriesHost
  /** Series with open samples, oldest first. */
  private readonly openSeries = new Set<Series>()
  /** Sealed in this turn and not yet handed to the sender. */
  private sealed: Entry[] = []
  private turnEnds = false
  private lingering: Timer | undefined
  private waitsForTransport = false
  private retryTimer: Timer | undefined
  private closed = false
  private readonly neighbours: Neighbours
  private readonly sealer: Sealer
  private stopListening: (() => void) | undefined
  /** There is somebody to send to. */
  private isOnline = false
  /** Frames of sources that are off the network. */
  private readonly offline = new Map<string, Entry[]>()
  /** Lanes of earlier lives that get an end frame once all before it is stored. */
  private readonly draining = new Set<OutgoingLane>()

  constructor(options: PublisherOptions) {
    this.options = options
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
      mesh,
      transport,
      membership,
      clock,
      schemas: this.schemas,
      outbox: this.outbox,
      level: this.level,
      laneByKey: (key) => this.lanes.get(key),
      onDone: (entry) => this.done(entry),
      onConflict: (entry) => this.rename(entry),
      onDamaged: (entry) => this.damaged(entry),
    })
    this.neighbours = new Neighbours(mesh, membership)
    this.sealer = new Sealer({
      options,
      outbox: this.outbox,
      schemas: this.schemas,
      counters: this.counters,
      onSealed: (entry) => this.toBeSent(entry),
      canDeliver: () => this.trouble() === undefined,
    })
    this.host = this.seriesHost()
  }

  /** Subscribes to acks, takes up what an earlier life left in the outbox, and begins to send. */
  async start(): Promise<void> {
    await this.schemas.start()
    await this.sender.start()
    const { transport } = this.options
    if (isPeerTransport(transport)) {
      this.isOnline = transport.linked().size > 0
      transport.onLink(() => (this.isOnline = transport.linked().size > 0))
    } else if (isBrokerTransport(transport)) {
      this.isOnline = transport.isConnected
      this.stopListening = transport.onConnection((isConnected) => (this.isOnline = isConnected))
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
        source,
        stream,
        epoch: this.epoch,
        schema: schemas?.get(stream),
        whenFull: whenFull?.(stream) ?? 'refuse',
      })
      this.seriesByName.set(name, series)
      this.neighbours.add(series.lane.shard)
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
    await this.sealer.written()
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

  /** What is on its way and to whom, for status and metrics. */
  get queues(): Sender['queues'] {
    return () => this.sender.queues()
  }

  /** Why nothing can be acknowledged now; undefined when W stores are within reach. */
  trouble(): string | undefined {
    if (this.sealer.isStuck) return 'the outbox log cannot be written'
    const trouble = this.options.transport.trouble() ?? this.sender.unsendable
    if (trouble !== undefined) return trouble
    const { writeQuorum } = this.options.mesh
    const { usableStores } = this.sender
    if (usableStores >= writeQuorum) return undefined
    return `${usableStores} of the ${writeQuorum} stores that must hold a frame can be reached`
  }

  /** Whether this publisher wants a link to that peer: owners of its shards, their stand-ins, live subscribers. */
  wants(peer: PeerInfo): boolean {
    if (peer.roles.some((role) => role !== 'storage')) return true
    return peer.storeId !== undefined && this.neighbours.has(peer.storeId)
  }

  /** The stores are not what they were. */
  membershipChanged(): void {
    this.sender.refresh()
  }

  /**
   * Seals what is open, closes the epoch's lanes unless told not to, and waits up to `drainMs` for
   * the rest to be stored. Returns how many samples were not: with a disk outbox they are sent by
   * the next life, otherwise only what a store got anyway is kept.
   */
  async close(options: { drainMs?: number; end?: boolean } = {}): Promise<number> {
    if (this.closed) return this.pendingSamples
    for (const source of this.offline.keys()) this.setOnline(source, true)
    this.sealAll()
    this.closed = true
    // A replay's epoch is closed only by one that reached the end of the recording, and says so.
    if (options.end ?? this.options.epoch === undefined) this.endAll()
    this.endTurn()
    const drained = this.sealer.written().then(async () => void (await this.outbox.drained()))
    await atMost(options.drainMs ?? 8000, drained, this.options.clock)
    this.sender.stop()
    this.stopListening?.()
    this.retryTimer?.cancel()
    this.lingering?.cancel()
    this.options.onClosed?.()
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
      sealWhole: (series, samples, firstUs, lastUs) => {
        this.sealer.sealWhole(series, samples, firstUs, lastUs)
        counters.samplesPublished += samples.length
      },
      dropped: (lane, reason, samples) => {
        if (reason !== 'refused') this.sealer.dropped(lane)
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
    const offline = !this.isOnline
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

  private seal(series: Series): void {
    this.openSeries.delete(series)
    this.sealer.seal(series)
  }

  private toBeSent(entry: Entry): void {
    this.sealed.push(entry)
    if (this.turnEnds) return
    this.turnEnds = true
    queueMicrotask(() => this.sealAll())
  }

  private endTurn(): void {
    this.turnEnds = false
    if (this.sealed.length === 0) return
    // A frame may have been dropped, for want of room, in the very turn it was sealed in.
    const sealed = this.sealed.filter(isPending)
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
        const { timesUs = [] } = entry
        options.onReceipt({
          source,
          stream,
          epoch,
          sequence: entry.sequence,
          count: entry.count,
          timesUs,
          level: this.level,
          stores: entry.heldBy,
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
      this.outbox.finish(entry, 'dropped')
    }
    return this.outbox.mayExceed(bytes)
  }

  /** Closes the lanes of this life, and of earlier ones what can be; the next life closes the rest. */
  private endAll(): void {
    this.endDrained()
    // What waits for the outbox log is still to be numbered in them.
    if (this.sealer.isStuck) return
    for (const { lane } of this.seriesByName.values()) {
      if (!this.sealer.end(lane)) return
    }
  }

  private endDrained(): void {
    for (const lane of this.draining) {
      if (lane.pending.length > 0) continue
      if (!this.sealer.end(lane)) return
      this.draining.delete(lane)
    }
  }

  /** A store holds other bytes under this name: the frame gets a name in a new epoch. */
  private rename(entry: Entry): void {
    this.counters.conflicts += 1
    // Not now: the store will say it again.
    if (entry.kind === 'data' && !this.sealer.rename(entry, () => this.newLane(entry))) return
    this.outbox.finish(entry, 'dropped')
    this.endTurn()
  }

  private newLane({ lane: { stream, source, key } }: Entry): OutgoingLane {
    const { clock, random } = this.options
    const series = this.series(stream, source)
    if (series.lane.key === key || series.lane.ended) {
      series.lane = this.addLane(source, stream, newEpoch(clock.nowUs(), random))
    }
    return series.lane
  }

  /**
   * The outbox log cannot give the frame back: it is lost here, and readers are told so. Not by a
   * replay: the skip frame would take the name of what comes next, and the same recording, replayed
   * again, brings the frame back.
   */
  private damaged(entry: Entry): void {
    this.counters.framesDamaged += 1
    const { source, stream, epoch } = entry.lane
    const { sequence, count } = entry
    this.options.onDamaged?.({ source, stream, epoch, sequence, count })
    if (this.options.epoch === undefined) {
      entry.lane.skip(entry.sequence, entry.count)
      this.sealer.dropped(entry.lane)
    }
    this.outbox.finish(entry, 'dropped')
  }

  private addLane(source: string, stream: string, epoch: Epoch, lastSequence = 0): OutgoingLane {
    const lane = new OutgoingLane(source, stream, epoch, lastSequence)
    this.lanes.set(lane.key, lane)
    this.neighbours.add(lane.shard)
    return lane
  }

  private recover(): void {
    const { log } = this.outbox
    if (log === undefined) return
    const { backlog, draining } = recover({
      log,
      outbox: this.outbox,
      schemas: this.schemas,
      sealer: this.sealer,
      isReplay: this.options.epoch !== undefined,
      addLane: ({ source, stream, epoch, lastSequence }) =>
        this.addLane(source, stream, epoch, lastSequence),
      laneByKey: (key) => this.lanes.get(key),
      series: (stream, source) => this.series(stream, source),
    })
    for (const lane of draining) this.draining.add(lane)
    this.sender.sendBacklog(backlog)
    this.endDrained()
    this.sealAll()
  }

  private retry(): void {
    this.sender.tick()
    this.outbox.checkRoom()
    this.sealer.retry()
    this.endDrained()
    this.retryTimer = this.options.clock.startTimer(RETRY_CHECK_MS, () => this.retry())
  }
}
