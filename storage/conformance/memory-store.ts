// A FrameStore in memory: for tests, for the simulator where no disk is wanted, and as the plain
// statement of what a FrameStore does. It survives nothing. Damage and broken writes can be staged.
import {
  IntervalSet,
  laneKey,
  readFrame,
  type Frame,
  type Lane,
  type LaneKey,
} from '../../mesh/index.ts'
import { StorageError } from '../errors.ts'
import type {
  DamagedFrame,
  FrameRange,
  Gone,
  LaneRecord,
  StoredFrame,
  WritableStore,
} from '../frame-store.ts'
import { skipRuns } from '../level/lane-state.ts'

/** What keeping a frame costs beside its bytes, roughly. */
const RECORD_BYTES = 64

interface MemoryLane extends LaneRecord {
  ended: number | undefined
  lastIngestUs: number
  sampleCount: number
  changedAt: number
  readonly frames: Map<number, StoredFrame>
}

export class MemoryStore implements WritableStore {
  version = 0
  private readonly byLane = new Map<LaneKey, MemoryLane>()
  private readonly damage: DamagedFrame[] = []
  private isClosed = false

  async append(frames: readonly StoredFrame[], onWritten?: () => void): Promise<void> {
    this.checkOpen()
    for (const { frame, ingestUs } of frames) {
      const lane = this.laneOf(frame)
      if (lane.frames.has(frame.sequence)) {
        throw new StorageError('STORE_WRITE_FAILED', `frame ${frame.sequence} is already held`)
      }
      // A copy: the bytes belong to the caller.
      const kept = readFrame(Buffer.from(frame.bytes))
      if (typeof kept === 'string') throw new TypeError(`not a frame: ${kept}`)
      lane.frames.set(frame.sequence, { frame: kept, ingestUs })
      note(lane, kept, ingestUs)
      lane.changedAt = this.version + 1
      this.forgetDamage(frame)
    }
    this.version += 1
    onWritten?.()
  }

  lane(key: LaneKey): LaneRecord | undefined {
    return this.byLane.get(key)
  }

  lanes(): Iterable<LaneRecord> {
    return this.byLane.values()
  }

  *lanesOf(stream: string, source: string): Iterable<LaneRecord> {
    for (const lane of this.byLane.values()) {
      if (lane.stream === stream && lane.source === source) yield lane
    }
  }

  async crcOf(key: LaneKey, sequence: number): Promise<number | undefined> {
    return this.byLane.get(key)?.frames.get(sequence)?.frame.crc
  }

  async crcsOf(key: LaneKey, sequences: readonly number[]): Promise<Map<number, number>> {
    const crcs = new Map<number, number>()
    for (const sequence of sequences) {
      const crc = await this.crcOf(key, sequence)
      if (crc !== undefined) crcs.set(sequence, crc)
    }
    return crcs
  }

  async reopen(): Promise<void> {
    this.checkOpen()
  }

  async *read(key: LaneKey, from: number, to: number): AsyncGenerator<StoredFrame> {
    const lane = this.byLane.get(key)
    if (lane === undefined) return
    const sequences = [...lane.frames.keys()].filter((n) => n >= from && n <= to)
    for (const sequence of sequences.sort((a, b) => a - b)) {
      const stored = this.checked(lane, sequence)
      if (stored !== undefined) yield stored
    }
  }

  async *scan({ stream, source, fromUs, toUs }: FrameRange): AsyncGenerator<StoredFrame> {
    const found: [MemoryLane, Frame][] = []
    for (const lane of this.byLane.values()) {
      if (lane.stream !== stream || lane.source !== source) continue
      for (const { frame } of lane.frames.values()) {
        if (frame.kind === 'data' && frame.firstUs < toUs && frame.lastUs >= fromUs) {
          found.push([lane, frame])
        }
      }
    }
    found.sort(
      ([, a], [, b]) =>
        a.firstUs - b.firstUs || compareText(a.epoch, b.epoch) || a.sequence - b.sequence,
    )
    for (const [lane, frame] of found) {
      const stored = this.checked(lane, frame.sequence)
      if (stored !== undefined) yield stored
    }
  }

  damaged(): readonly DamagedFrame[] {
    return this.damage
  }

  async learnGone({ source, stream, epoch }: Lane, gone: Gone): Promise<void> {
    this.checkOpen()
    const lane = this.laneOf({ source, stream, epoch, laneKey: laneKey(source, stream, epoch) })
    lane.trimmed.addAll(gone.trimmed.minus(lane.held))
    lane.skipped.addAll(gone.skipped)
    if (gone.ended > 0) lane.ended ??= gone.ended
    lane.lastIngestUs = Math.max(lane.lastIngestUs, gone.lastIngestUs)
    this.version += 1
    lane.changedAt = this.version
  }

  async stats(): Promise<{ diskBytes: number; frames: number; samples: number; buckets: number }> {
    const stats = { diskBytes: 0, frames: 0, samples: 0, buckets: 1 }
    for (const lane of this.byLane.values()) {
      stats.frames += lane.frames.size
      stats.samples += lane.sampleCount
      for (const { frame } of lane.frames.values())
        stats.diskBytes += frame.bytes.length + RECORD_BYTES
    }
    return stats
  }

  async close(): Promise<void> {
    this.isClosed = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** For tests: the same frames again after a close, as a disk would have them. */
  reborn(): MemoryStore {
    const store = new MemoryStore()
    for (const [key, lane] of this.byLane) store.byLane.set(key, lane)
    store.damage.push(...this.damage)
    return store
  }

  /** For tests: what retention would do to these frames of a lane. */
  trim(key: LaneKey, runs: IntervalSet): void {
    const lane = this.byLane.get(key)
    if (lane === undefined) throw new RangeError('no such lane')
    for (const [sequence, { frame }] of lane.frames) {
      if (!runs.has(sequence)) continue
      lane.frames.delete(sequence)
      if (frame.kind === 'data') lane.sampleCount -= frame.count
    }
    lane.trimmed.addAll(lane.held.and(runs))
    Object.assign(lane, { held: lane.held.minus(runs) })
    this.version += 1
    lane.changedAt = this.version
  }

  /** For tests: what a store does with a lane of which nothing has been held for long. */
  forget(key: LaneKey): void {
    this.byLane.delete(key)
    this.version += 1
  }

  /** For tests: flips a bit of a held frame, as a bad disk would; it is found at the next read. */
  spoil(key: LaneKey, sequence: number): void {
    const bytes = this.byLane.get(key)?.frames.get(sequence)?.frame.bytes
    if (bytes === undefined) throw new RangeError(`frame ${sequence} is not held`)
    bytes[bytes.length - 1]! ^= 1
  }

  /** The frame when its CRC still holds; otherwise it is listed, and no longer held. */
  private checked(lane: MemoryLane, sequence: number): StoredFrame | undefined {
    this.checkOpen()
    const stored = lane.frames.get(sequence)
    if (stored === undefined) return undefined
    const fault = readFrame(stored.frame.bytes)
    if (typeof fault !== 'string') return stored
    const { source, stream, epoch } = lane
    this.damage.push({ source, stream, epoch, sequence, reason: fault })
    lane.frames.delete(sequence)
    const left = lane.held.minus(new IntervalSet([sequence, sequence]))
    Object.assign(lane, { held: left })
    lane.sampleCount -= stored.frame.count
    this.version += 1
    lane.changedAt = this.version
    return undefined
  }

  private forgetDamage(frame: Frame): void {
    const at = this.damage.findIndex(
      ({ source, stream, epoch, sequence }) =>
        sequence === frame.sequence && laneKey(source, stream, epoch) === frame.laneKey,
    )
    if (at >= 0) this.damage.splice(at, 1)
  }

  private laneOf(of: Lane & { readonly laneKey: LaneKey }): MemoryLane {
    const { source, stream, epoch, laneKey: key } = of
    const known = this.byLane.get(key)
    if (known !== undefined) return known
    const lane: MemoryLane = {
      key,
      source,
      stream,
      epoch,
      held: new IntervalSet(),
      skipped: new IntervalSet(),
      trimmed: new IntervalSet(),
      changedAt: 0,
      ended: undefined,
      lastIngestUs: 0,
      sampleCount: 0,
      frames: new Map(),
    }
    this.byLane.set(key, lane)
    return lane
  }

  private checkOpen(): void {
    if (this.isClosed) throw new StorageError('STORE_CLOSED', 'the store is closed')
  }
}

function note(lane: MemoryLane, frame: Frame, ingestUs: number): void {
  lane.held.add(frame.sequence)
  lane.lastIngestUs = Math.max(lane.lastIngestUs, ingestUs)
  if (frame.kind === 'data') lane.sampleCount += frame.count
  if (frame.kind === 'end') lane.ended = frame.sequence
  if (frame.kind === 'skip') lane.skipped.addAll(skipRuns(frame.body))
}

function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1
}
