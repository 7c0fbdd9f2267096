// From the transport to the disk and back to the publisher: takes telemetry messages, offers their
// frames to the writer, and acknowledges what a commit made durable (docs/delivery.md §6).
//
// Over links it takes what is sent to this store, and what finds no room is sent again. From a broker it
// fetches: a batch is finished when all of it is synced, and only then does the broker hear of it.
import {
  ackParts,
  encodeAck,
  IntervalSet,
  MeshError,
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
/** Runs in one entry of an ack. */
const ACK_RUNS_MAX = 1000
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

  /** @throws StorageError when the disk fails, or this store is no member: the broker is to give the batch again. */
  private async consume(batch: readonly Message[]): Promise<void> {
    const { writer, isMember } = this.options
    if (!isMember()) throw new StorageError('STORE_CLOSED', 'this store is no member')
    const { refused } = writer.counters
    const late: TakenFrame[] = []
    for (const taken of this.framesOf(batch)) {
      if (!this.hasSchema(taken.frame)) late.push(taken)
      else {
        const wait = this.offer(taken)
        if (wait !== undefined) await wait
      }
    }
    await this.schemasCame(new Set(late.map(({ frame }) => frame.schemaId)))
    for (const taken of late) {
      if (this.hasSchema(taken.frame)) await this.offer(taken)
      else this.counters.unknownSchemas += 1
    }
    await writer.settled()
    if (writer.counters.refused > refused) {
      throw new StorageError('STORE_WRITE_FAILED', 'what was taken could not be written')
    }
  }

  /** Undefined when it was taken at once, as all of a batch are that one commit then has. */
  private offer({ frame, publisher }: TakenFrame): Promise<void> | undefined {
    this.counters.frames += 1
    const isTaken = this.options.writer.offer(frame, publisher) === 'queued'
    return isTaken ? undefined : this.offerAgain(frame, publisher)
  }

  private async offerAgain(frame: Frame, publisher: PeerId): Promise<void> {
    do await this.look()
    while (this.options.writer.offer(frame, publisher) !== 'queued')
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
    const { messageBytesMax } = transport.capabilities
    for (const part of ackParts(lanesOf(sequences), conflicts, messageBytesMax)) {
      const ack = encodeAck(mesh.id, { storeId, level: 'synced', grantBytes, ...part })
      try {
        transport.publish(ackTopic(publisher), ack, publisher)
        this.counters.acksSent += 1
      } catch (error) {
        // The transport is closed: an ack is state, and the next one states as much.
        if (!(error instanceof MeshError)) throw error
      }
    }
  }
}

/** What was touched of each lane; a lane more broken than that is several entries. */
function* lanesOf(sequences: ReadonlyMap<LaneKey, IntervalSet>): Generator<LaneAck> {
  for (const [lane, touched] of sequences) {
    const runs = touched.toRuns()
    for (let at = 0; at < runs.length; at += 2 * ACK_RUNS_MAX) {
      yield { lane, runs: runs.slice(at, at + 2 * ACK_RUNS_MAX) }
    }
  }
}
