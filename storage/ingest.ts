// From the transport to the disk and back to the publisher: takes telemetry messages, offers their
// frames to the writer, and acknowledges what a commit made durable (docs/delivery.md §6).
import {
  encodeAck,
  IntervalSet,
  NO_SCHEMA,
  readFrame,
  readMessage,
  ackTopic,
  type Clock,
  type Conflict,
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
import type { CommitResult, Writer } from './writer.ts'

/** A publisher not heard for this long no longer has a share of the budget. */
const PUBLISHER_IDLE_MS = 10_000
/** How often shares are worked out anew. */
const SWEEP_MS = 1_000
const GRANT_BYTES_MIN = 64 * 1024
/** Runs of one lane in one ack: a lane more broken than that is acknowledged over several. */
const ACK_RUNS_MAX = 1000
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

  constructor(options: IngestOptions) {
    this.options = options
  }

  async start(): Promise<void> {
    const { transport } = this.options
    await transport.subscribe('t/>', (batch) => this.receive(batch), 'directed')
    await transport.subscribe('b/>', (batch) => this.receive(batch), 'directed')
  }

  /** Takes nothing more; what was taken is still acknowledged. */
  stop(): void {
    this.stopped = true
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
    const { mesh, clock, isMember } = this.options
    if (this.stopped || !isMember()) return
    for (const { bytes, from } of batch) {
      this.counters.messages += 1
      const message = readMessage(bytes, mesh.id)
      if (typeof message === 'string') {
        this.counters.rejectedMessages += 1
        continue
      }
      this.heardAtMs.set(message.publisher, clock.monotonicMs())
      for (const frameBytes of message.frames) this.take(frameBytes, message.publisher, from)
    }
  }

  private take(bytes: Buffer, publisher: PeerId, from: PeerId | undefined): void {
    const frame = readFrame(bytes)
    if (typeof frame === 'string' || frame.kind === 'schema') {
      this.counters.rejectedFrames += 1
      return
    }
    if (!this.knowsSchema(frame, from)) return
    this.counters.frames += 1
    if (this.options.writer.offer(frame, publisher) === 'full') this.counters.refusedFrames += 1
  }

  /** No frame is kept before its schema is: the sender is asked, and repeats the frame. */
  private knowsSchema({ schemaId }: Frame, from: PeerId | undefined): boolean {
    if (schemaId === NO_SCHEMA || this.options.hasSchema(schemaId)) return true
    this.counters.unknownSchemas += 1
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
