// From the transport to the disk and back to the publisher: takes telemetry messages, offers their
// frames to the writer, and acknowledges what a commit made durable (docs/delivery.md §6).
//
// Over links it takes what is sent to this store, and what finds no room is sent again. From a broker it
// fetches: a batch is finished when all of it is synced, and only then does the broker hear of it.
import {
  encodeAck,
  IntervalSet,
  NO_SCHEMA,
  readFrame,
  readMessage,
  ackTopic,
  isBrokerTransport,
  type Clock,
  type Conflict,
  type Consumption,
  type Frame,
  type LaneAck,
  type LaneKey,
  type MeshIdentity,
  type Message,
  type PeerId,
  type SchemaExchange,
  type SchemaId,
  type StoreId,
  type Transport,
} from '../mesh/index.ts'
import { StorageError } from './errors.ts'
import type { CommitResult, Writer } from './writer.ts'

/** A publisher not heard for this long no longer has a share of the budget. */
const PUBLISHER_IDLE_MS = 10_000
/** How often shares are worked out anew. */
const SWEEP_MS = 1_000
const GRANT_BYTES_MIN = 64 * 1024
/** Runs of one lane in one ack: a lane more broken than that is acknowledged over several. */
const ACK_RUNS_MAX = 1000
/** How long a frame from a broker waits for its schema, which may come by another way and later. */
const SCHEMA_WAIT_MS = 5_000
/** How often it is looked whether there is a schema, or room in the writer, by now. */
const LOOK_MS = 20
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
  private readonly heardAtMs = new Map<PeerId, number>()
  private stopped = false
  private grant = GRANT_BYTES_MIN
  private sweptAtMs = -SWEEP_MS
  private consumption: Consumption | undefined
  private readonly missingUntilMs = new Map<SchemaId, number>()

  constructor(options: IngestOptions) {
    this.options = options
  }

  async start(): Promise<void> {
    const { transport, storeId } = this.options
    if (isBrokerTransport(transport)) {
      this.consumption = await transport.consume(storeId, (batch) => this.consume(batch))
      return
    }
    await transport.subscribe('t/>', (batch) => this.receive(batch), 'directed')
    await transport.subscribe('b/>', (batch) => this.receive(batch), 'directed')
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
    const byPublisher = new Map<PeerId, CommitResult<PeerId>[]>()
    for (const result of results) {
      if (result.outcome === 'refused' || result.origin === undefined) continue
      const group = byPublisher.get(result.origin)
      if (group === undefined) byPublisher.set(result.origin, [result])
      else group.push(result)
    }
    if (byPublisher.size === 0) return
    const grantBytes = this.grantBytes()
    for (const [publisher, group] of byPublisher) this.acknowledge(publisher, group, grantBytes)
  }

  private receive(batch: readonly Message[]): void {
    const { isMember, writer } = this.options
    if (this.stopped || !isMember()) return
    for (const { frame, publisher, from } of this.framesOf(batch)) {
      if (!this.knowsSchema(frame, from)) {
        this.counters.unknownSchemas += 1
        continue
      }
      this.counters.frames += 1
      if (writer.offer(frame, publisher) === 'full') this.counters.refusedFrames += 1
    }
  }

  /** @throws StorageError when the disk fails: the broker is to give the batch again. */
  private async consume(batch: readonly Message[]): Promise<void> {
    const { writer } = this.options
    const { refused } = writer.counters
    for (const { frame, publisher } of this.framesOf(batch)) {
      if (!(await this.schemaCame(frame))) {
        this.counters.unknownSchemas += 1
        continue
      }
      this.counters.frames += 1
      while (writer.offer(frame, publisher) !== 'queued') {
        if (this.stopped) throw new StorageError('STORE_CLOSED', 'the store is closing')
        await this.delay(LOOK_MS)
      }
    }
    await writer.settled()
    if (writer.counters.refused > refused) {
      throw new StorageError('STORE_WRITE_FAILED', 'what was taken could not be written')
    }
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
      const { publisher } = message
      this.heardAtMs.set(publisher, clock.monotonicMs())
      for (const frameBytes of message.frames) {
        const frame = readFrame(frameBytes)
        if (typeof frame !== 'string' && frame.kind !== 'schema') yield { frame, publisher, from }
        else this.counters.rejectedFrames += 1
      }
    }
  }

  private async schemaCame(frame: Frame): Promise<boolean> {
    const { clock } = this.options
    const { schemaId } = frame
    const now = clock.monotonicMs()
    const isWaitedFor = (this.missingUntilMs.get(schemaId) ?? 0) <= now
    const untilMs = isWaitedFor ? now + SCHEMA_WAIT_MS : now
    while (!this.knowsSchema(frame, undefined)) {
      if (this.stopped) throw new StorageError('STORE_CLOSED', 'the store is closing')
      if (clock.monotonicMs() >= untilMs) {
        if (isWaitedFor) this.missingUntilMs.set(schemaId, untilMs + SCHEMA_MISSING_MS)
        return false
      }
      await this.delay(LOOK_MS)
    }
    this.missingUntilMs.delete(schemaId)
    return true
  }

  private async delay(ms: number): Promise<void> {
    await new Promise<void>((resolve) => this.options.clock.startTimer(ms, resolve))
  }

  /** No frame is kept before its schema is: the sender is asked, and repeats the frame. */
  private knowsSchema({ schemaId }: Frame, from: PeerId | undefined): boolean {
    if (schemaId === NO_SCHEMA || this.options.hasSchema(schemaId)) return true
    this.options.exchange.ask(schemaId, from)
    return false
  }

  private acknowledge(
    publisher: PeerId,
    results: readonly CommitResult<PeerId>[],
    grantBytes: number,
  ): void {
    const { mesh, storeId, transport } = this.options
    const sequences = new Map<LaneKey, IntervalSet>()
    const conflicts: Conflict[] = []
    for (const { outcome, laneKey, sequence } of results) {
      if (outcome === 'conflict') {
        conflicts.push({ lane: laneKey, sequence })
        continue
      }
      const lane = sequences.get(laneKey)
      if (lane === undefined) sequences.set(laneKey, new IntervalSet([sequence, sequence]))
      else lane.add(sequence)
    }
    const lanes: LaneAck[] = []
    for (const [lane, touched] of sequences) {
      lanes.push({ lane, runs: touched.toRuns().slice(0, 2 * ACK_RUNS_MAX) })
    }
    const ack = { storeId, level: 'synced', grantBytes, lanes, conflicts } as const
    transport.publish(ackTopic(publisher), encodeAck(mesh.id, ack), publisher)
    this.counters.acksSent += 1
  }
}
