// From the transport to the disk and back to the publisher: takes telemetry messages, offers their
// frames to the writer, and has them acknowledged at the level their publisher wants: when the writer
// has taken them, when they are written, or when they are synced (docs/delivery.md §2, §6).
//
// Over links it takes what is sent to this store, and what finds no room is sent again. From a broker it
// fetches: a batch is finished when all of it is synced, and only then does the broker hear of it.
import {
  framesTopic,
  NO_SCHEMA,
  readFrame,
  readMessage,
  isBrokerTransport,
  type AckLevel,
  type Clock,
  type Consumption,
  type Frame,
  type MeshIdentity,
  type Message,
  type PeerId,
  type SchemaExchange,
  type SchemaId,
  type StoreId,
  type Transport,
} from '../mesh/index.ts'
import { Acks, type Fate } from './acks.ts'
import { StorageError } from './errors.ts'
import type { CommitResult, Writer } from './writer.ts'

/** A publisher not heard for this long no longer has a share of the budget. */
const PUBLISHER_IDLE_MS = 10_000
/** How often shares are worked out anew. */
const SWEEP_MS = 1_000
const GRANT_BYTES_MIN = 64 * 1024
/** How long a frame from a broker waits for its schema, which may come by another way and later. */
const SCHEMA_WAIT_MS = 5_000
/** How often it is looked whether there is a schema, or room in the writer, by now. */
const LOOK_MS = 20
/** A schema that is this late is asked for. */
const ASK_AFTER_MS = 500
/** Schemas remembered as missing. */
const MISSING_MAX = 1_000
/** A schema that did not come is not waited for again this long. */
const SCHEMA_MISSING_MS = 60_000
/** Of the writer's budget, what is granted to publishers: repeats and repair need room too. */
const GRANTED_SHARE = 0.5

export interface IngestOptions {
  readonly mesh: MeshIdentity
  readonly transport: Transport
  readonly clock: Clock
  readonly storeId: StoreId
  readonly writer: Writer<PeerId>
  readonly exchange: SchemaExchange
  readonly hasSchema: (id: SchemaId) => boolean
  /** Acknowledges nothing until this store is a member of the mesh. */
  readonly isMember: () => boolean
  readonly budgetBytes: number
}

interface TakenFrame {
  readonly frame: Frame
  readonly publisher: PeerId
  readonly level: AckLevel
  readonly from: PeerId | undefined
}

export interface IngestCounters {
  messages: number
  frames: number
  rejectedMessages: number
  rejectedFrames: number
  unknownSchemas: number
  /** Frames not taken because the writer's budget was used up: their publishers repeat them. */
  refusedFrames: number
  acksSent: number
}

export class Ingest {
  readonly counters: IngestCounters = {
    messages: 0,
    frames: 0,
    rejectedMessages: 0,
    rejectedFrames: 0,
    unknownSchemas: 0,
    refusedFrames: 0,
    acksSent: 0,
  }
  private readonly options: IngestOptions
  private readonly acks: Acks
  /** Taken by the writer for publishers that want to hear of that, and not said yet. */
  private received: Fate[] = []
  private readonly heardAtMs = new Map<PeerId, number>()
  private stopped = false
  private grant = GRANT_BYTES_MIN
  private sweptAtMs = -SWEEP_MS
  private consumption: Consumption | undefined
  private readonly missingUntilMs = new Map<SchemaId, number>()

  constructor(options: IngestOptions) {
    this.options = options
    const { mesh, transport, storeId, writer } = options
    const { counters } = this
    const grantBytes = (): number => this.grantBytes()
    this.acks = new Acks({ mesh, transport, storeId, grantBytes, counters })
    writer.onWritten((results) => this.acks.send('written', results))
  }

  async start(): Promise<void> {
    const { transport, storeId } = this.options
    if (isBrokerTransport(transport)) {
      this.consumption = await transport.consume(storeId, (batch) => this.consume(batch))
      return
    }
    await transport.subscribe(framesTopic(storeId), (batch) => this.receive(batch), 'directed')
  }

  /** The shards this store takes from a broker; over links its publishers decide. */
  assign(shards: ReadonlySet<number>): void {
    this.consumption?.assign(shards)
  }

  /** Messages that a broker keeps for this store; 0 over links. */
  lag(): number {
    return this.consumption?.lag() ?? 0
  }

  /** Takes nothing more; what was taken is still acknowledged. */
  async stop(): Promise<void> {
    this.stopped = true
    await this.consumption?.close()
  }

  /** What each publisher may have under way. */
  grantBytes(): number {
    const now = this.options.clock.monotonicMs()
    if (now - this.sweptAtMs < SWEEP_MS) return this.grant
    this.sweptAtMs = now
    for (const [publisher, atMs] of this.heardAtMs) {
      if (now - atMs > PUBLISHER_IDLE_MS) this.heardAtMs.delete(publisher)
    }
    const share = (this.options.budgetBytes * GRANTED_SHARE) / Math.max(1, this.heardAtMs.size)
    this.grant = Math.max(GRANT_BYTES_MIN, Math.floor(share))
    return this.grant
  }

  /** Acknowledges what a commit settled; call it with each batch's results. */
  committed(results: readonly CommitResult<PeerId>[]): void {
    // The others have been told already, but for what is held otherwise.
    const due = results.filter(({ level, outcome }) => level === 'synced' || outcome === 'conflict')
    this.acks.send('synced', due)
  }

  private receive(batch: readonly Message[]): void {
    if (this.stopped || !this.options.isMember()) return
    for (const taken of this.framesOf(batch)) {
      if (!this.knowsSchema(taken.frame, taken.from)) {
        this.counters.unknownSchemas += 1
        continue
      }
      this.counters.frames += 1
      if (this.offer(taken) === 'full') this.counters.refusedFrames += 1
    }
    this.acknowledgeReceived()
  }

  /** @throws StorageError when the disk fails, or this store is no member: the broker is to give the batch again. */
  private async consume(batch: readonly Message[]): Promise<void> {
    const { writer, isMember } = this.options
    if (!isMember()) throw new StorageError('STORE_CLOSED', 'this store is no member')
    const { refused } = writer.counters
    const late: TakenFrame[] = []
    for (const taken of this.framesOf(batch)) {
      if (!this.hasSchema(taken.frame)) late.push(taken)
      else {
        const wait = this.take(taken)
        if (wait !== undefined) await wait
      }
    }
    this.acknowledgeReceived()
    await this.schemasCame(new Set(late.map(({ frame }) => frame.schemaId)))
    for (const taken of late) {
      if (this.hasSchema(taken.frame)) await this.take(taken)
      else this.counters.unknownSchemas += 1
    }
    this.acknowledgeReceived()
    await writer.settled()
    if (writer.counters.refused > refused) {
      throw new StorageError('STORE_WRITE_FAILED', 'what was taken could not be written')
    }
  }

  /** Undefined when it was taken at once, as all of a batch are that one commit then has. */
  private take(taken: TakenFrame): Promise<void> | undefined {
    this.counters.frames += 1
    return this.offer(taken) === 'queued' ? undefined : this.takeLater(taken)
  }

  private async takeLater(taken: TakenFrame): Promise<void> {
    this.acknowledgeReceived()
    do await this.look()
    while (this.offer(taken) !== 'queued')
  }

  private offer({ frame, publisher, level }: TakenFrame): ReturnType<Writer<PeerId>['offer']> {
    const { writer } = this.options
    if (level !== 'received') return writer.offer(frame, publisher, undefined, level)
    const isSaid = this.mayAcknowledgeReceived(frame)
    const answer = writer.offer(frame, publisher, undefined, isSaid ? 'received' : 'written')
    if (isSaid && answer === 'queued') {
      const { laneKey, sequence } = frame
      this.received.push({ origin: publisher, laneKey, sequence, outcome: 'received' })
    }
    return answer
  }

  /**
   * Not of a name that is held: whether under other bytes shows before it is written. And not beyond what
   * publishers are granted: what is acknowledged here no longer counts against their grants, and a disk
   * that falls behind must slow them down before there is no room at all.
   */
  private mayAcknowledgeReceived(frame: Frame): boolean {
    const { writer, budgetBytes } = this.options
    return !writer.holds(frame) && writer.queuedBytes < budgetBytes * GRANTED_SHARE
  }

  private acknowledgeReceived(): void {
    if (this.received.length === 0) return
    const { received } = this
    this.received = []
    this.acks.send('received', received)
  }

  private *framesOf(batch: readonly Message[]): Generator<TakenFrame> {
    const { mesh, clock } = this.options
    for (const { bytes, from } of batch) {
      this.counters.messages += 1
      const message = readMessage(bytes, mesh.id)
      if (typeof message === 'string') {
        this.counters.rejectedMessages += 1
        continue
      }
      const { publisher, level } = message
      this.heardAtMs.set(publisher, clock.monotonicMs())
      for (const frameBytes of message.frames) {
        const frame = readFrame(frameBytes)
        if (typeof frame !== 'string' && frame.kind !== 'schema') {
          yield { frame, publisher, level, from }
        } else this.counters.rejectedFrames += 1
      }
    }
  }

  /**
   * Schemas come by another way, and may come a little later; then they are asked for. All of a batch are
   * waited for together: what one publisher forgot must not hold up the others for long.
   */
  private async schemasCame(ids: ReadonlySet<SchemaId>): Promise<void> {
    const { clock, exchange, hasSchema } = this.options
    const startMs = clock.monotonicMs()
    const missing = (): SchemaId[] => [...ids].filter((id) => !hasSchema(id))
    const isAwaited = (id: SchemaId): boolean => (this.missingUntilMs.get(id) ?? 0) <= startMs
    while (missing().some(isAwaited) && clock.monotonicMs() - startMs < SCHEMA_WAIT_MS) {
      if (clock.monotonicMs() - startMs >= ASK_AFTER_MS) {
        for (const id of missing()) exchange.ask(id, undefined)
      }
      await this.look()
    }
    for (const id of ids) this.missingUntilMs.delete(id)
    for (const id of missing()) {
      exchange.ask(id, undefined)
      if (this.missingUntilMs.size >= MISSING_MAX) this.missingUntilMs.clear()
      this.missingUntilMs.set(id, clock.monotonicMs() + SCHEMA_MISSING_MS)
    }
  }

  /** @throws StorageError when there is nothing to wait for any more. */
  private async look(): Promise<void> {
    if (this.stopped) throw new StorageError('STORE_CLOSED', 'the store is closing')
    await new Promise<void>((resolve) => this.options.clock.startTimer(LOOK_MS, resolve))
  }

  /** No frame is kept before its schema is: the sender is asked, and repeats the frame. */
  private knowsSchema(frame: Frame, from: PeerId | undefined): boolean {
    if (this.hasSchema(frame)) return true
    this.options.exchange.ask(frame.schemaId, from)
    return false
  }

  private hasSchema({ schemaId }: Frame): boolean {
    return schemaId === NO_SCHEMA || this.options.hasSchema(schemaId)
  }
}
