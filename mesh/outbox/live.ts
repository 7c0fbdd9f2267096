// What is live in the log, and where: samples in no seal yet, sealed frames not done yet. It keeps
// places and counts, never bytes, and how far each lane got (lanes.ts). Shared by recovery.ts, which fills it from disk, and log.ts.
import { MeshError } from '../errors.ts'
import type { FrameName } from '../frame.ts'
import { IntervalSet } from '../intervals.ts'
import { type LaneState, LaneTable } from './lanes.ts'
import {
  type CheckpointRecord,
  decodeSample,
  decodeSeal,
  eachOf,
  recordEnd,
  type Runs,
  runsOf,
  type SampleRecord,
  type SealRecord,
} from './records.ts'
import type { Segment } from './segment.ts'

/** Where a live record is; it moves when its segment is cleaned. */
export interface Place {
  readonly segment: Segment
  readonly offset: number
  /** Of the whole record. */
  readonly bytes: number
}

export interface FramePlace extends Place {
  readonly lane: LaneState
}

export class LiveSet {
  readonly lanes = new LaneTable()
  /** By ordinal, ascending: a new one is the greatest, and a move does not change the order. */
  private sampleMap = new Map<number, Place>()
  /** By position, ascending. */
  private frameMap = new Map<number, FramePlace>()
  nextOrdinal = 1
  nextPosition = 1

  get samples(): ReadonlyMap<number, Place> {
    return this.sampleMap
  }

  get frames(): ReadonlyMap<number, FramePlace> {
    return this.frameMap
  }

  get isEmpty(): boolean {
    return this.samples.size === 0 && this.frames.size === 0
  }

  /** Adds a sample, or moves it when it is known. */
  putSample(ordinal: number, place: Place): void {
    put(this.sampleMap, ordinal, place)
    if (ordinal >= this.nextOrdinal) this.nextOrdinal = ordinal + 1
  }

  /** Adds a frame, or moves it when it is known. */
  putFrame(position: number, place: Place, name: FrameName): void {
    const lane = this.lanes.seal(name)
    if (!this.frames.has(position)) lane.liveFrames += 1
    put(this.frameMap, position, { ...place, lane })
    if (position >= this.nextPosition) this.nextPosition = position + 1
  }

  /** Notes that a live frame is elsewhere now. */
  moveFrame(position: number, place: Place): void {
    const { lane } = this.frameMap.get(position)!
    put(this.frameMap, position, { ...place, lane })
  }

  /** Removes a sample, or says false when it is not live. Its ordinal is never given again. */
  takeSample(ordinal: number): boolean {
    if (ordinal >= this.nextOrdinal) this.nextOrdinal = ordinal + 1
    return take(this.sampleMap, ordinal)
  }

  takeFrame(position: number): boolean {
    if (position >= this.nextPosition) this.nextPosition = position + 1
    const frame = this.frameMap.get(position)
    if (frame === undefined) return false
    take(this.frameMap, position)
    this.lanes.leave(frame.lane)
    return true
  }

  /** The first ordinal of `runs` that is not live. */
  missingSample(runs: Runs): number | undefined {
    for (const ordinal of eachOf(runs)) {
      if (!this.samples.has(ordinal)) return ordinal
    }
    return undefined
  }

  checkpoint(bootId: string): CheckpointRecord {
    const { nextOrdinal, nextPosition, lanes } = this
    return {
      nextOrdinal,
      nextPosition,
      ordinals: runsOf(this.samples.keys()),
      positions: runsOf(this.frames.keys()),
      bootId,
      lanes: lanes.records(),
    }
  }

  /** Forgets all that the checkpoint does not list: it died in a segment that is gone. */
  apply(checkpoint: CheckpointRecord): void {
    const ordinals = new IntervalSet(checkpoint.ordinals)
    for (const id of this.samples.keys()) if (!ordinals.has(id)) take(this.sampleMap, id)
    const positions = new IntervalSet(checkpoint.positions)
    for (const id of this.frames.keys()) if (!positions.has(id)) this.takeFrame(id)
    this.lanes.replace(checkpoint.lanes)
    this.nextOrdinal = Math.max(this.nextOrdinal, checkpoint.nextOrdinal)
    this.nextPosition = Math.max(this.nextPosition, checkpoint.nextPosition)
  }

  /** After a replay, where a record that was moved came later than its place in the order. */
  sort(): void {
    this.sampleMap = inOrder(this.sampleMap)
    this.frameMap = inOrder(this.frameMap)
  }

  /** @throws RangeError when it is not live. @throws MeshError MESH_OUTBOX_DAMAGED */
  readSeal(position: number): SealRecord {
    const seal = decodeSeal(readRecord(this.frames.get(position), `frame ${position}`))
    if (seal.position !== position) throw damaged(`frame ${position}`, this.frames.get(position)!)
    return seal
  }

  /** @throws RangeError when it is not live. @throws MeshError MESH_OUTBOX_DAMAGED */
  readSample(ordinal: number): SampleRecord {
    return decodeSample(readRecord(this.samples.get(ordinal), `sample ${ordinal}`))
  }
}

function put<P extends Place>(places: Map<number, P>, id: number, place: P): void {
  const before = places.get(id)
  if (before !== undefined) leave(before)
  places.set(id, place)
  place.segment.liveRecords += 1
  place.segment.liveBytes += place.bytes
}

function take(places: Map<number, Place>, id: number): boolean {
  const place = places.get(id)
  if (place === undefined) return false
  leave(place)
  return places.delete(id)
}

function leave({ segment, bytes }: Place): void {
  segment.liveRecords -= 1
  segment.liveBytes -= bytes
}

function inOrder<P extends Place>(places: Map<number, P>): Map<number, P> {
  return new Map([...places].sort(([a], [b]) => a - b))
}

function readRecord(place: Place | undefined, what: string): Buffer {
  if (place === undefined) throw new RangeError(`${what} is not in the outbox`)
  const { segment, offset, bytes } = place
  let record: Buffer
  try {
    record = segment.read(offset, bytes)
  } catch (error) {
    throw damaged(what, place, error)
  }
  if (recordEnd(record, 0, segment.seed, offset) !== bytes) throw damaged(what, place)
  return record
}

function damaged(what: string, { segment, offset, bytes }: Place, cause?: unknown): MeshError {
  return new MeshError(
    'MESH_OUTBOX_DAMAGED',
    `${what} cannot be read (${bytes} bytes at ${offset} of ${segment.path})`,
    { details: { path: segment.path, offset, bytes }, cause },
  )
}
