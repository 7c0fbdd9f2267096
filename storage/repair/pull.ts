// The second half of repair: gets named frames from one store and has them kept. One answer follows the
// other without a pause, and is read only as fast as the writer takes its frames: that is the
// back-pressure. What comes is checked like anything from the network: the CRC, that it was asked for, and
// that its schema is here before it.
import {
  IntervalSet,
  NO_SCHEMA,
  readFrame,
  type Frame,
  type LaneKey,
  type SchemaId,
} from '../../mesh/index.ts'
import type { FrameRecord, RepairPeer } from '../query/peer.ts'
import type { RepairIntake } from './intake.ts'
import type { KnownLane } from './known.ts'
import type { Lack, Lacks } from './lack.ts'
import { fetchSchema, type SchemaKeeper } from './schemas.ts'

export interface PullOptions {
  readonly intake: RepairIntake
  readonly schemas: SchemaKeeper
  readonly onError?: (error: unknown) => void
}

export interface PullCounters {
  failedPeers: number
  pulledSchemas: number
  /** Bytes that were no frame, or not one that was asked for. */
  rejectedFrames: number
}

/** One answer. It is read as it comes, so this is no bound on memory. */
const ANSWER_BYTES = 64 << 20
/** Named in one request: about 1 MB. */
const ANSWER_LANES = 10_000

/** What was asked of one lane, and what has come of it. */
interface Asked extends Lack {
  readonly came: IntervalSet
}

export class Puller {
  private readonly options: PullOptions
  private readonly counters: PullCounters
  private readonly signal: AbortSignal

  constructor(options: PullOptions, counters: PullCounters, signal: AbortSignal) {
    this.options = options
    this.counters = counters
    this.signal = signal
  }

  /** Fetches those schemas that this store has; the others are for the next. */
  async pullSchemas(peer: RepairPeer, ids: readonly SchemaId[]): Promise<void> {
    try {
      for (const id of ids) await this.fetchSchema(peer, id)
    } catch (error) {
      this.failed(error)
    }
  }

  /**
   * Pulls from one store what it holds of `wanted`; all that came is synced when it resolves. Returns
   * false when this store takes no more for now.
   */
  async pull(peer: RepairPeer, lanes: Iterable<KnownLane>, wanted: Lacks): Promise<boolean> {
    const { intake } = this.options
    const there = new Map<LaneKey, Asked>()
    for (const { key, held } of lanes) {
      const lack = wanted.get(key)
      const runs = lack?.runs.and(held)
      if (lack === undefined || runs === undefined || runs.isEmpty) continue
      there.set(key, { lane: lack.lane, runs, came: new IntervalSet() })
    }
    const { refusedFrames } = intake.counters
    try {
      for (const some of inParts(there, ANSWER_LANES)) {
        if (!(await this.pullLanes(peer, some))) break
      }
    } catch (error) {
      this.failed(error)
    }
    await intake.settled()
    return intake.counters.refusedFrames === refusedFrames
  }

  private failed(error: unknown): void {
    this.signal.throwIfAborted()
    this.counters.failedPeers += 1
    this.options.onError?.(error)
  }

  /** Asks until all has come or no more does. Returns false when this store takes no more. */
  private async pullLanes(peer: RepairPeer, lanes: Map<LaneKey, Asked>): Promise<boolean> {
    while (lanes.size > 0) {
      const request = [...lanes.values()].map(({ lane, runs }) => {
        return { ...lane, runs: runs.toRuns() }
      })
      const records = peer.frames({ lanes: request, bytesMax: ANSWER_BYTES }, this.signal)
      const answer = await this.takeAnswer(peer, records, lanes)
      if (answer === 'refused') return false
      let came = 0
      for (const [key, asked] of lanes) {
        came += asked.came.size
        const runs = asked.runs.minus(asked.came)
        if (runs.isEmpty) lanes.delete(key)
        else lanes.set(key, { lane: asked.lane, runs, came: new IntervalSet() })
      }
      // What did not come although the answer was whole is not to be had here; and a peer that sends
      // nothing that was asked for is not asked again.
      if (answer === 'whole' || came === 0) return true
    }
    return true
  }

  private async takeAnswer(
    peer: RepairPeer,
    records: AsyncGenerator<readonly FrameRecord[], boolean>,
    lanes: ReadonlyMap<LaneKey, Asked>,
  ): Promise<'whole' | 'cut' | 'refused'> {
    const { intake } = this.options
    try {
      for (;;) {
        const next = await records.next()
        if (next.done === true) return next.value ? 'cut' : 'whole'
        for (const record of next.value) {
          const frame = this.check(record, lanes)
          if (frame === undefined) continue
          // No frame is kept before its schema is.
          if (!this.hasSchema(frame) && !(await this.fetchSchema(peer, frame.schemaId))) continue
          const { ingestUs } = record
          let taken = intake.offer({ frame, ingestUs })
          while (taken === 'full') {
            await intake.room()
            this.signal.throwIfAborted()
            taken = intake.offer({ frame, ingestUs })
          }
          if (taken === 'refused') return 'refused'
        }
      }
    } finally {
      await records.return(false)
    }
  }

  /** The frame of a record that was asked for and has not come yet. */
  private check({ bytes }: FrameRecord, lanes: ReadonlyMap<LaneKey, Asked>): Frame | undefined {
    const frame = readFrame(bytes)
    const asked = typeof frame === 'string' ? undefined : lanes.get(frame.laneKey)
    if (typeof frame === 'string' || !asked?.runs.has(frame.sequence)) {
      this.counters.rejectedFrames += 1
      return undefined
    }
    if (asked.came.has(frame.sequence)) return undefined
    asked.came.add(frame.sequence)
    return frame
  }

  private hasSchema({ schemaId }: Frame): boolean {
    return schemaId === NO_SCHEMA || this.options.schemas.has(schemaId)
  }

  private async fetchSchema(peer: RepairPeer, id: SchemaId): Promise<boolean> {
    const isKept = await fetchSchema(peer, id, this.options.schemas, this.signal)
    if (isKept) this.counters.pulledSchemas += 1
    return isKept
  }
}

function* inParts<K, V>(map: ReadonlyMap<K, V>, size: number): IterableIterator<Map<K, V>> {
  const entries = [...map]
  for (let from = 0; from < entries.length; from += size) {
    yield new Map(entries.slice(from, from + size))
  }
}
