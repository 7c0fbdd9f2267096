// How frames get onto the disk: each batch is written to the buckets of its ingest times, and synced while
// the next one is written; what is synced counts. After a failure nothing counts that was not synced
// before, until what is on the disk was looked through again.
//
//   append ─► bucket of its ingest time ─► segment: write ─► fdatasync ─► lanes, table ─► resolved
//                                              └─ full ─► index, in the background
import path from 'node:path'
import type { Clock, LaneKey } from '../../mesh/index.ts'
import type { StorageError } from '../errors.ts'
import type { StoredFrame } from '../frame-store.ts'
import type { Appender } from './appender.ts'
import type { Bucket } from './bucket.ts'
import type { BucketTable } from './bucket-table.ts'
import type { DamageList } from './damage-list.ts'
import { asWriteError } from './disk.ts'
import type { FrameFinder } from './frame-finder.ts'
import { GroupSync } from './group-sync.ts'
import { BucketLane, skipRuns, type LaneState } from './lane-state.ts'
import type { LaneTable } from './lane-table.ts'
import { RECORD_HEADER_BYTES } from './record.ts'
import type { MemorySegment } from './segment.ts'
import { Turns } from './turns.ts'

export interface WritePathOptions {
  readonly directory: string
  readonly bucketMs: number
  readonly warmBucketsMax: number
  readonly classOf: (stream: string) => string
  readonly addBucket: (className: string, startMs: number) => Bucket
  readonly table: LaneTable
  readonly buckets: BucketTable
  readonly damage: DamageList
  readonly finder: FrameFinder
  readonly appender: Appender
  readonly clock: Clock
  /** Aborted with what is told to who comes after the store is closed. */
  readonly closed: AbortSignal
}

/** What one append wrote, by the buckets that it went to. */
interface WrittenBatch {
  readonly parts: readonly WrittenPart[]
  /** Somebody is to hear that it is written before it is synced. */
  readonly isUrgent: boolean
}

interface WrittenPart {
  readonly bucket: Bucket
  readonly segment: MemorySegment
  readonly frames: readonly StoredFrame[]
}

export class WritePath {
  private readonly options: WritePathOptions
  /** One write, cooling or re-opening at a time. */
  private readonly turns = new Turns()
  private readonly syncs = new GroupSync<WrittenBatch>((batches) => this.sync(batches))
  private failure: StorageError | undefined

  constructor(options: WritePathOptions) {
    this.options = options
  }

  async append(
    frames: readonly StoredFrame[],
    isUrgent: boolean,
    onWritten?: () => void,
  ): Promise<void> {
    const { buckets, warmBucketsMax } = this.options
    // Synced while the next batch is written.
    const { batch, synced } = await this.turns.take(async () => {
      const batch = await this.write(frames, isUrgent)
      return { batch, synced: this.syncs.add(batch) }
    })
    onWritten?.()
    await synced
    if (buckets.warm().length > warmBucketsMax) {
      void this.exclusively(() => this.coolOldest(batch.parts.map(({ bucket }) => bucket)))
    }
  }

  /** Work that nothing is written during, and that begins when all that was written is synced. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.turns.take(async () => {
      await this.syncs.idle()
      return work()
    })
  }

  /** As FrameStore's. @throws StorageError STORE_DISK_FULL, STORE_WRITE_FAILED while the disk still refuses. */
  reopen(): Promise<void> {
    return this.exclusively(async () => {
      const { appender, buckets, closed, directory } = this.options
      closed.throwIfAborted()
      try {
        for (const bucket of buckets.warm()) await this.recheck(bucket)
        await appender.probe(path.join(directory, 'probe'))
        this.failure = undefined
      } catch (error) {
        throw this.fail(error)
      }
    })
  }

  /** Has the bucket ready for writing. Within `exclusively`, as all of these. */
  async makeWarm(bucket: Bucket): Promise<void> {
    if (bucket.lanes !== undefined) return
    const { finder, table } = this.options
    await bucket.warm()
    for (const key of bucket.lanes!.keys()) table.take(key).extents.delete(bucket.id)
    await finder.noteLosses(bucket)
  }

  /** Has all that the bucket holds in finished files. */
  async coolBucket(bucket: Bucket): Promise<void> {
    // What a failed write left behind must not look like frames to the next life.
    if (this.failure !== undefined && bucket.lanes !== undefined) await this.recheck(bucket)
    await bucket.seal()
    // In one go: whoever looks for a frame finds the bucket by its lanes or by their extents.
    for (const part of bucket.lanes?.values() ?? []) {
      const state = this.options.table.take(part.key)
      state.extents.add(bucket.id, part)
      if (state.current === part) state.current = undefined
    }
    bucket.lanes = undefined
  }

  private async write(frames: readonly StoredFrame[], isUrgent: boolean): Promise<WrittenBatch> {
    this.options.closed.throwIfAborted()
    if (this.failure !== undefined) throw this.failure
    try {
      const groups = [...this.groupByBucket(frames)]
      for (const [bucket] of groups) {
        await this.makeWarm(bucket)
        if (bucket.isSegmentFull) await this.syncs.idle()
      }
      if (this.failure !== undefined) throw this.failure
      const parts = groups.map(async ([bucket, group]): Promise<WrittenPart> => {
        return { bucket, frames: group, segment: await bucket.write(group) }
      })
      return { parts: await allDone(parts), isUrgent }
    } catch (error) {
      throw this.fail(error)
    }
  }

  /** Syncs what was written, and counts it. After a failure nothing counts that was not synced before. */
  private async sync(batches: readonly WrittenBatch[]): Promise<void> {
    if (this.failure !== undefined) throw this.failure
    const { appender, clock, table } = this.options
    const mayBeHere = !batches.some(({ isUrgent }) => isUrgent)
    const parts = batches.flatMap((batch) => batch.parts)
    const segments = Map.groupBy(parts, ({ segment }) => segment)
    try {
      await allDone(
        Array.from(segments, ([segment, written]) => {
          const bytes = written.reduce((sum, { frames }) => sum + bytesOf(frames), 0)
          return segment.sync(appender, bytes, mayBeHere)
        }),
      )
    } catch (error) {
      throw this.fail(error)
    }
    table.version += 1
    const nowMs = clock.monotonicMs()
    for (const part of parts) {
      part.bucket.writtenMs = nowMs
      part.bucket.writes += 1
      this.count(part)
    }
  }

  /** Counts what is on the disk. */
  private count({ bucket, segment, frames }: WrittenPart): void {
    const { damage, table } = this.options
    const lanes = bucket.lanes!
    let offset = segment.nextOffset
    for (const { frame, ingestUs } of frames) {
      const state = table.take(frame.laneKey)
      const part = partOf(state, lanes, bucket.startMs)
      state.add(frame, ingestUs)
      state.changedAt = table.version
      part.add(frame, ingestUs, segment.number)
      segment.note(part, frame, ingestUs, offset)
      offset += RECORD_HEADER_BYTES + frame.bytes.length
      if (frame.kind === 'skip') {
        const runs = skipRuns(frame.body)
        state.skipped.addAll(runs)
        part.skipped.addAll(runs)
      }
      if (!damage.isEmpty) damage.delete(frame)
    }
  }

  private async recheck(bucket: Bucket): Promise<void> {
    const lost = await bucket.recheck()
    await this.options.finder.noteDamage(bucket, lost, 'lost with a failed write')
  }

  private groupByBucket(frames: readonly StoredFrame[]): Map<Bucket, readonly StoredFrame[]> {
    const first = this.bucketFor(frames[0]!)
    if (frames.every((frame) => this.belongsTo(first, frame))) return new Map([[first, frames]])
    return Map.groupBy(frames, (frame) => this.bucketFor(frame))
  }

  private belongsTo({ className, startMs }: Bucket, { frame, ingestUs }: StoredFrame): boolean {
    const ms = ingestUs / 1000 - startMs
    const isOfTime = ms >= 0 && ms < this.options.bucketMs
    return isOfTime && this.options.classOf(frame.stream) === className
  }

  private bucketFor({ frame, ingestUs }: StoredFrame): Bucket {
    const { addBucket, bucketMs, buckets, classOf } = this.options
    const startMs = Math.floor(ingestUs / 1000 / bucketMs) * bucketMs
    const className = classOf(frame.stream)
    return buckets.at(className, startMs) ?? addBucket(className, startMs)
  }

  /** Keeps those just written; of the others the newest, as many as may stay warm. */
  private async coolOldest(written: readonly Bucket[]): Promise<void> {
    const { buckets, closed, warmBucketsMax } = this.options
    if (closed.aborted || this.failure !== undefined) return
    const warm = buckets.warm()
    const others = warm.filter((bucket) => !written.includes(bucket) && !bucket.isPinned)
    others.sort((a, b) => a.startMs - b.startMs)
    const excess = Math.max(0, warm.length - warmBucketsMax)
    try {
      for (const bucket of others.slice(0, excess)) await this.coolBucket(bucket)
    } catch (error) {
      this.fail(error)
    }
  }

  private fail(error: unknown): StorageError {
    const failure = asWriteError(error, `cannot write to ${this.options.directory}`)
    if (failure.code !== 'STORE_CLOSED') this.failure = failure
    return failure
  }
}

/** As Promise.all, but when one fails the others have ended as well. */
async function allDone<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work)
  return Promise.all(work)
}

function bytesOf(frames: readonly StoredFrame[]): number {
  return frames.reduce((sum, { frame }) => sum + frame.bytes.length, 0)
}

function partOf(state: LaneState, lanes: Map<LaneKey, BucketLane>, startMs: number): BucketLane {
  if (state.current?.bucketMs === startMs) return state.current
  let part = lanes.get(state.key)
  if (part === undefined) lanes.set(state.key, (part = new BucketLane(state.key, startMs)))
  state.current = part
  return part
}
