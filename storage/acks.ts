// What a store says to publishers of their frames: one ack for each publisher and level, in as many
// messages as the transport needs. An ack is state: one that is lost is said again for the next repeat.
import {
  ackParts,
  ackTopic,
  encodeAck,
  IntervalSet,
  MeshError,
  type AckLevel,
  type Conflict,
  type LaneAck,
  type LaneKey,
  type MeshIdentity,
  type PeerId,
  type StoreId,
  type Transport,
} from '../mesh/index.ts'
import type { Outcome } from './writer.ts'

/** Runs in one entry of an ack. */
const ACK_RUNS_MAX = 1000

export interface AcksOptions {
  readonly mesh: MeshIdentity
  readonly transport: Transport
  readonly storeId: StoreId
  /** What each publisher may have under way. */
  readonly grantBytes: () => number
  readonly counters: { acksSent: number }
}

/** What became of one frame. Its publisher is not told of `refused`, nor is anybody when there is none. */
export interface Fate {
  readonly origin: PeerId | undefined
  readonly laneKey: LaneKey
  readonly sequence: number
  readonly outcome: Outcome | 'received'
}

export class Acks {
  private readonly options: AcksOptions

  constructor(options: AcksOptions) {
    this.options = options
  }

  /** The store holds the frames at this level, or other bytes under their names. */
  send(level: AckLevel, fates: readonly Fate[]): void {
    const byPublisher = new Map<PeerId, Fate[]>()
    for (const fate of fates) {
      if (fate.outcome === 'refused' || fate.origin === undefined) continue
      const group = byPublisher.get(fate.origin)
      if (group === undefined) byPublisher.set(fate.origin, [fate])
      else group.push(fate)
    }
    if (byPublisher.size === 0) return
    const grantBytes = this.options.grantBytes()
    for (const [publisher, group] of byPublisher) this.tell(publisher, level, group, grantBytes)
  }

  private tell(
    publisher: PeerId,
    level: AckLevel,
    fates: readonly Fate[],
    grantBytes: number,
  ): void {
    const { mesh, storeId, transport, counters } = this.options
    const sequences = new Map<LaneKey, IntervalSet>()
    const conflicts: Conflict[] = []
    for (const { outcome, laneKey, sequence } of fates) {
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
      const ack = encodeAck(mesh.id, { storeId, level, grantBytes, ...part })
      try {
        transport.publish(ackTopic(publisher), ack, publisher)
        counters.acksSent += 1
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
