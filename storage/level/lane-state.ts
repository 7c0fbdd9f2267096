// What a store knows of its lanes, in memory: the union over all buckets (LaneState, which readers
// see as a LaneRecord), and what one bucket adds to it (BucketLane, kept in memory while the bucket
// is written and as a record of its index afterwards).
import {
  IntervalSet,
  parseLaneKey,
  type Epoch,
  type Frame,
  type LaneKey,
} from '../../mesh/index.ts'
import type { Gone, LaneRecord } from '../frame-store.ts'

/** The facts about one frame that sets and sums are made of. */
export type FrameFacts = Pick<Frame, 'kind' | 'sequence' | 'firstUs' | 'lastUs' | 'count'>

/** What this store keeps of a lane beyond its frames. */
export interface GoneLane extends Gone {
  /** When retention last took something of it here, µs since the Unix epoch; 0 when it never did. */
  readonly trimmedUs: number
}

export class BucketLane {
  readonly key: LaneKey
  readonly bucketMs: number
  held = new IntervalSet()
  /** Files of the bucket that hold frames of this lane, by number. */
  segments = new IntervalSet()
  skipped = new IntervalSet()
  ended = 0
  lastIngestUs = 0
  sampleCount = 0
  frameCount = 0
  firstUs = Infinity
  lastUs = -Infinity
  /** The data frame with the newest sample: its last event time and sequence. */
  newestUs = -1
  newestSequence = 0
  /** Its place in the segment being written, and that segment (level/segment.ts). */
  slot = -1
  slotSegment = -1

  constructor(key: LaneKey, bucketMs: number) {
    this.key = key
    this.bucketMs = bucketMs
  }

  add(frame: FrameFacts, ingestUs: number, segment: number): void {
    const { sequence, firstUs, lastUs } = frame
    this.held.add(sequence)
    if (this.segments.last !== segment) this.segments.add(segment)
    this.frameCount += 1
    if (firstUs < this.firstUs) this.firstUs = firstUs
    if (lastUs > this.lastUs) this.lastUs = lastUs
    if (ingestUs > this.lastIngestUs) this.lastIngestUs = ingestUs
    if (frame.kind === 'data') {
      this.sampleCount += frame.count
      if (isNewer(lastUs, sequence, this)) {
        this.newestUs = lastUs
        this.newestSequence = sequence
      }
    } else if (frame.kind === 'end') {
      this.ended = sequence
    }
  }

  /** Forgets a frame that cannot be read any more. */
  remove(sequence: number, count: number): void {
    if (!this.held.has(sequence)) return
    this.held = this.held.minus(new IntervalSet([sequence, sequence]))
    this.sampleCount -= count
    this.frameCount -= 1
    if (this.ended === sequence) this.ended = 0
  }
}

interface Newest {
  readonly newestUs: number
  readonly newestSequence: number
}

function isNewer(lastUs: number, sequence: number, than: Newest): boolean {
  return lastUs > than.newestUs || (lastUs === than.newestUs && sequence > than.newestSequence)
}

export class LaneState implements LaneRecord {
  readonly key: LaneKey
  readonly source: string
  readonly stream: string
  readonly epoch: Epoch
  held = new IntervalSet()
  skipped = new IntervalSet()
  trimmed = new IntervalSet()
  changedAt = 0
  ended: number | undefined = undefined
  lastIngestUs = 0
  sampleCount = 0
  frameCount = 0
  newestUs = -1
  newestSequence = 0
  readonly extents = new Extents()
  /** When retention last took something of it, µs since the Unix epoch; 0 when it never did. */
  trimmedUs = 0
  /** The part of the bucket last written, so that the next frame finds it without a look-up. */
  current: BucketLane | undefined = undefined

  constructor(key: LaneKey) {
    const { source, stream, epoch } = parseLaneKey(key)
    this.key = key
    this.source = source
    this.stream = stream
    this.epoch = epoch
  }

  /** Takes in one frame that has become durable. */
  add(frame: FrameFacts, ingestUs: number): void {
    const { sequence, lastUs } = frame
    this.held.add(sequence)
    this.frameCount += 1
    if (ingestUs > this.lastIngestUs) this.lastIngestUs = ingestUs
    if (frame.kind === 'data') {
      this.sampleCount += frame.count
      if (isNewer(lastUs, sequence, this)) {
        this.newestUs = lastUs
        this.newestSequence = sequence
      }
    } else if (frame.kind === 'end') {
      this.ended = sequence
    }
  }

  /** Takes in what a whole bucket holds, as after opening it. */
  addBucket(bucketId: number, part: BucketLane): void {
    this.extents.add(bucketId, part)
    this.held.addAll(part.held)
    this.skipped.addAll(part.skipped)
    if (part.ended > 0) this.ended = part.ended
    this.lastIngestUs = Math.max(this.lastIngestUs, part.lastIngestUs)
    this.sampleCount += part.sampleCount
    this.frameCount += part.frameCount
    if (isNewer(part.newestUs, part.newestSequence, this)) {
      this.newestUs = part.newestUs
      this.newestSequence = part.newestSequence
    }
  }

  /** What a whole bucket held is gone, its bucket removed by retention. */
  trimBucket(bucketId: number, part: BucketLane, nowUs: number): void {
    this.trimmedUs = nowUs
    this.extents.delete(bucketId)
    this.held = this.held.minus(part.held)
    this.trimmed.addAll(part.held)
    this.sampleCount -= part.sampleCount
    this.frameCount -= part.frameCount
    if (this.held.has(this.newestSequence)) return
    // A guess that is right where lanes are in order of time, as nearly all are.
    this.newestSequence = this.held.last
    this.newestUs = this.extents.lastUs
  }

  /** Takes in what is gone of the lane; what is held stays held. */
  learn({ trimmed, skipped, ended, lastIngestUs, trimmedUs = 0 }: Gone & Partial<GoneLane>): void {
    this.trimmed.addAll(trimmed.minus(this.held))
    this.skipped.addAll(skipped)
    if (ended > 0) this.ended ??= ended
    this.lastIngestUs = Math.max(this.lastIngestUs, lastIngestUs)
    this.trimmedUs = Math.max(this.trimmedUs, trimmedUs)
  }

  gone(): GoneLane {
    const { trimmed, skipped, ended = 0, lastIngestUs, trimmedUs } = this
    return { trimmed, skipped, ended, lastIngestUs, trimmedUs }
  }

  /** What will be gone of it once `part` is. */
  goneWith(part: BucketLane, nowUs: number): GoneLane {
    return { ...this.gone(), trimmed: this.trimmed.or(part.held), trimmedUs: nowUs }
  }

  /** Forgets a frame that cannot be read any more. */
  remove(sequence: number, count: number): void {
    this.held = this.held.minus(new IntervalSet([sequence, sequence]))
    this.sampleCount -= count
    this.frameCount -= 1
    if (this.ended === sequence) this.ended = undefined
  }
}

const EXTENT_STRIDE = 5

/**
 * For each bucket not being written that has frames of the lane: the bucket's id, least and greatest
 * sequence, least and greatest event time. Flat, since there is one for each lane and bucket.
 */
export class Extents {
  private readonly flat: number[] = []

  add(bucketId: number, part: BucketLane): void {
    const [first] = part.held
    if (first === undefined) return
    // One that damage kept from being deleted may be there still.
    this.delete(bucketId)
    this.flat.push(bucketId, first[0], part.held.last, part.firstUs, part.lastUs)
  }

  delete(bucketId: number): void {
    for (let i = 0; i < this.flat.length; i += EXTENT_STRIDE) {
      if (this.flat[i] === bucketId) {
        this.flat.splice(i, EXTENT_STRIDE)
        return
      }
    }
  }

  /** Greatest event time, -1 when there is no bucket. */
  get lastUs(): number {
    let lastUs = -1
    for (let i = 4; i < this.flat.length; i += EXTENT_STRIDE) {
      lastUs = Math.max(lastUs, this.flat[i]!)
    }
    return lastUs
  }

  /** Ids of the buckets that may have frames with these sequences and these event times. */
  *overlapping(filter: FrameFilter): IterableIterator<number> {
    const { flat } = this
    for (let i = 0; i < flat.length; i += EXTENT_STRIDE) {
      if (flat[i + 1]! > filter.toSequence || flat[i + 2]! < filter.fromSequence) continue
      if (flat[i + 3]! >= filter.toUs || flat[i + 4]! < filter.fromUs) continue
      yield flat[i]!
    }
  }
}

/** Sequences in [fromSequence, toSequence] and event times that meet [fromUs, toUs). */
export interface FrameFilter {
  readonly fromSequence: number
  readonly toSequence: number
  readonly fromUs: number
  readonly toUs: number
}

/** Runs of a skip frame's body, {"runs":[[a, b, samples], …]}; what is not a run is left out. */
export function skipRuns(body: Buffer): IntervalSet {
  const set = new IntervalSet()
  for (const run of parseRuns(body)) {
    if (!Array.isArray(run)) continue
    const [from, to] = run as unknown[]
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) continue
    if ((from as number) >= 1 && (to as number) >= (from as number)) {
      set.add(from as number, to as number)
    }
  }
  return set
}

function parseRuns(body: Buffer): readonly unknown[] {
  try {
    const parsed = JSON.parse(body.toString('utf8')) as { runs?: unknown } | null
    return Array.isArray(parsed?.runs) ? parsed.runs : []
  } catch {
    return []
  }
}
