// The second half of repair: gets named frames from one store, page by page, and has them kept. A
// page is synced before the next is asked for. What comes is checked like anything from the network:
// the CRC, that it was asked for, and that its schema is here before it.
import {
  IntervalSet,
  laneKey,
  NO_SCHEMA,
  readFrame,
  schemaFromFrame,
  type Frame,
  type LaneKey,
  type Schema,
  type SchemaId,
} from '../mesh/index.ts'
import type { LaneDigest } from './coverage.ts'
import type { StoredFrame } from './frame-store.ts'
import type { LaneRuns, RepairPeer } from './query/peer.ts'
import type { Outcome } from './writer.ts'

/** A lane with runs that this store lacks. */
export interface Lack {
  readonly lane: Omit<LaneRuns, 'runs'>
  runs: IntervalSet
}

export interface PullOptions {
  /** Stores one frame and resolves with what became of it; after `refused` this look ends. */
  readonly keep: (stored: StoredFrame) => Promise<Outcome>
  readonly hasSchema: (id: SchemaId) => boolean
  /** Resolves once the schema is synced. */
  readonly keepSchema: (schema: Schema) => Promise<void>
  readonly onError?: (error: unknown) => void
}

export interface PullCounters {
  failedPeers: number
  pulledFrames: number
  pulledBytes: number
  pulledSchemas: number
  /** Bytes that were no frame, or not one that was asked for. */
  rejectedFrames: number
  conflicts: number
  refusedFrames: number
}

/** One page of frames: what waits in memory to be synced. */
const PAGE_BYTES = 4 * 1024 * 1024
const PAGE_LANES = 1_000

export class Puller {
  private readonly options: PullOptions
  private readonly counters: PullCounters
  private readonly signal: AbortSignal

  constructor(options: PullOptions, counters: PullCounters, signal: AbortSignal) {
    this.options = options
    this.counters = counters
    this.signal = signal
  }

  /**
   * Pulls from one store what it holds of `wanted`, and takes what came out of `wanted`. Returns
   * false when this store takes no more for now.
   */
  async pull(
    peer: RepairPeer,
    lanes: readonly LaneDigest[],
    wanted: Map<LaneKey, Lack>,
  ): Promise<boolean> {
    const there = new Map<LaneKey, Lack>()
    if (wanted.size === 0) return true
    for (const { source, stream, epoch, held } of lanes) {
      const key = laneKey(source, stream, epoch)
      const lack = wanted.get(key)
      const runs = lack?.runs.and(new IntervalSet(held))
      if (runs === undefined || runs.isEmpty) continue
      there.set(key, { lane: { source, stream, epoch }, runs })
    }
    try {
      while (there.size > 0) {
        const page = new Map([...there].slice(0, PAGE_LANES))
        const { more, taken } = await this.pullPage(peer, page, wanted)
        if (!taken) return false
        for (const [key, { runs }] of page) {
          // What did not come although the page was whole is not to be had here.
          if (!more || runs.isEmpty) there.delete(key)
        }
      }
    } catch (error) {
      this.signal.throwIfAborted()
      this.counters.failedPeers += 1
      this.options.onError?.(error)
    }
    return true
  }

  /** One request, and everything that came synced before it returns: that is the back-pressure. */
  private async pullPage(
    peer: RepairPeer,
    page: ReadonlyMap<LaneKey, Lack>,
    wanted: Map<LaneKey, Lack>,
  ): Promise<{ more: boolean; taken: boolean }> {
    const lanes = [...page.values()].map(({ lane, runs }) => ({ ...lane, runs: runs.toRuns() }))
    const records = peer.frames({ lanes, bytesMax: PAGE_BYTES }, this.signal)
    const keeping: Promise<boolean>[] = []
    /** Frames that were asked for: a peer that sends only others is not asked again. */
    let count = 0
    let more = false
    try {
      for (;;) {
        const next = await records.next()
        if (next.done === true) {
          more = next.value && count > 0
          break
        }
        const { ingestUs } = next.value
        // A copy: the record is a view into a network buffer that other frames share.
        const frame = readFrame(Buffer.from(next.value.bytes))
        const asked = typeof frame === 'string' ? undefined : page.get(frame.laneKey)
        if (typeof frame === 'string' || !asked?.runs.has(frame.sequence)) {
          this.counters.rejectedFrames += 1
          continue
        }
        count += 1
        asked.runs = asked.runs.minus(new IntervalSet([frame.sequence, frame.sequence]))
        if (!(await this.knowsSchema(peer, frame))) continue
        keeping.push(this.keep({ frame, ingestUs }, wanted))
      }
    } finally {
      await records.return(false)
      await Promise.allSettled(keeping)
    }
    const kept = await Promise.all(keeping)
    return { more, taken: kept.every(Boolean) }
  }

  private async keep(stored: StoredFrame, wanted: Map<LaneKey, Lack>): Promise<boolean> {
    const { frame } = stored
    const outcome = await this.options.keep(stored)
    if (outcome === 'refused') {
      this.counters.refusedFrames += 1
      return false
    }
    if (outcome === 'conflict') this.counters.conflicts += 1
    if (outcome === 'stored') {
      this.counters.pulledFrames += 1
      this.counters.pulledBytes += frame.bytes.length
    }
    const lack = wanted.get(frame.laneKey)
    if (lack !== undefined) {
      lack.runs = lack.runs.minus(new IntervalSet([frame.sequence, frame.sequence]))
      if (lack.runs.isEmpty) wanted.delete(frame.laneKey)
    }
    return true
  }

  /** No frame is kept before its schema is. */
  private async knowsSchema(peer: RepairPeer, { schemaId }: Frame): Promise<boolean> {
    const { hasSchema, keepSchema } = this.options
    if (schemaId === NO_SCHEMA || hasSchema(schemaId)) return true
    const bytes = await peer.schema(schemaId, this.signal)
    const frame = bytes && readFrame(bytes)
    if (frame === undefined || typeof frame === 'string') return false
    const schema = schemaOf(frame)
    if (schema?.id !== schemaId) return false
    await keepSchema(schema)
    this.counters.pulledSchemas += 1
    return true
  }
}

/** Undefined for what another store calls a schema and is none: that frame waits, the others go on. */
function schemaOf(frame: Frame): Schema | undefined {
  try {
    return schemaFromFrame(frame)
  } catch {
    return undefined
  }
}
