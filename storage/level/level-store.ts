// The FrameStore on a disk: append-only segments hold the frames, one classic-level database per
// bucket of ingest time is the index over them (docs/adr/0002-segments-with-a-level-index.md; bytes in
// record.ts and segment-index.ts). This file keeps the lanes in memory, sends each frame to its bucket, and
// turns what buckets find into frames.
//
//   append ─► bucket of its ingest time ─► segment: write, fdatasync ─► lanes, table ─► resolved
//                                              └─ full ─► index, in the background
import fs from 'node:fs'
import path from 'node:path'
import {
  IntervalSet,
  laneKey,
  systemClock,
  type Clock,
  type Lane,
  type LaneKey,
  type Schema,
  type SchemaId,
} from '../../mesh/index.ts'
import { lockDirectory, type DirectoryLock } from '../directory-lock.ts'
import { StorageError } from '../errors.ts'
import type {
  DamagedFrame,
  FrameRange,
  FrameStore,
  Gone,
  LaneRecord,
  StoredBlock,
  StoredFrame,
} from '../frame-store.ts'
import { DEFAULT_CLASS, type BucketFacts } from '../retention.ts'
import { Appender } from './appender.ts'
import { BlockCache } from './blocks/block-cache.ts'
import { Bucket } from './bucket.ts'
import { BucketTable } from './bucket-table.ts'
import { compactInThread } from './blocks/compaction-thread.ts'
import { DamageList } from './damage-list.ts'
import { asWriteError, directoryBytes, isErrorCode, makeDirectory } from './disk.ts'
import { findBuckets, LOCK } from './find-buckets.ts'
import { ALL_SEQUENCES, FrameFinder, type Located } from './frame-finder.ts'
import { GoneRecords } from './gone-records.ts'
import { GroupSync } from './group-sync.ts'
import { HandlePool } from './handle-pool.ts'
import { openIndex } from './index-database.ts'
import { BucketLane, LaneState, skipRuns, type GoneLane } from './lane-state.ts'
import { LaneTable } from './lane-table.ts'
import { RECORD_HEADER_BYTES, type Pace } from './record.ts'
import type { IndexDatabase } from './records.ts'
import type { MemorySegment } from './segment.ts'
import { Turns } from './turns.ts'

export interface LevelStoreOptions {
  /** The store's directory; frames go to `buckets/<class>/` in it. Made when missing. */
  readonly directory: string
  /** The retention class of a stream. Default: one class for all. */
  readonly classOf?: (stream: string) => string
  /** Schemas of the frames, for compaction; frames of others stay as they are. Default: none. */
  readonly schemas?: SchemaSource
  /** Span of ingest time in one directory, the grain of retention. Default one hour. */
  readonly bucketMs?: number
  /** Default 64 MiB. */
  readonly segmentBytesMax?: number
  /** Bounds the entries held in memory, 40 bytes each. Default 262,144. */
  readonly segmentFramesMax?: number
  /** Buckets kept ready for writing; repair writes to old ones. Default 4. */
  readonly warmBucketsMax?: number
  /** Without it an acknowledged frame is lost with the power: for benchmarks, and to prove the tests. */
  readonly sync?: boolean
  /** Times its syncs. Default the system's. */
  readonly clock?: Clock
}

/** As much of a SchemaStore as is needed. */
export interface SchemaSource {
  get(id: SchemaId): Schema | undefined
  list(): readonly Schema[]
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

/** A file with frames, as a scrub knows it. */
export interface StoreFile {
  readonly className: string
  readonly startMs: number
  readonly number: number
}

/** The newest data frame of a lane, for the table of latest samples. */
export interface NewestFrame {
  readonly lane: LaneRecord
  readonly lastUs: number
  readonly sequence: number
}

const OPEN_INDEXES_MAX = 8
const OPEN_FILES_MAX = 64
const FOUND_BY_SCRUB = 'found by the scrub'

/**
 * Opens the store in a directory, rebuilding what an unclean stop left open.
 * @throws StorageError STORE_IN_USE when another process has it.
 */
export async function openLevelStore(options: LevelStoreOptions): Promise<LevelStore> {
  const buckets = path.join(options.directory, 'buckets')
  await makeDirectory(buckets)
  const lock = await lockDirectory(path.join(buckets, LOCK))
  const store = new LevelStore(options, buckets, lock)
  try {
    await store.load()
    return store
  } catch (error) {
    await store.close().catch(() => undefined)
    throw error
  }
}

export class LevelStore implements FrameStore {
  private readonly options: Required<Omit<LevelStoreOptions, 'directory' | 'sync' | 'clock'>>
  private readonly clock: Clock
  private readonly appender: Appender
  private readonly directory: string
  private readonly lock: DirectoryLock
  private readonly table = new LaneTable()
  private readonly buckets = new BucketTable()
  private readonly gone: GoneRecords
  private readonly damage = new DamageList()
  private readonly finder = new FrameFinder({
    lanes: this.table,
    buckets: this.buckets,
    damage: this.damage,
  })
  private readonly files = new HandlePool<number>({
    openMax: OPEN_FILES_MAX,
    open: async (file) => fs.openSync(file, 'r'),
    close: async (fd) => fs.closeSync(fd),
  })
  private readonly indexes = new HandlePool<IndexDatabase>({
    openMax: OPEN_INDEXES_MAX,
    open: openIndex,
    close: (database) => database.close(),
  })
  /** One write, cooling or re-opening at a time. */
  private readonly turns = new Turns()
  private readonly syncs = new GroupSync<WrittenBatch>((batches) => this.sync(batches))
  /** One change of what is gone at a time. */
  private readonly goneTurns = new Turns()
  /** One trimming or compaction at a time. */
  private readonly reshaping = new Turns()
  private readonly stopping = new AbortController()
  private readonly cache = new BlockCache()
  private failure: StorageError | undefined
  private closing: Promise<void> | undefined

  constructor(options: LevelStoreOptions, directory: string, lock: DirectoryLock) {
    this.options = {
      bucketMs: options.bucketMs ?? 3_600_000,
      segmentBytesMax: options.segmentBytesMax ?? 64 << 20,
      segmentFramesMax: options.segmentFramesMax ?? 1 << 18,
      warmBucketsMax: options.warmBucketsMax ?? 4,
      classOf: options.classOf ?? (() => DEFAULT_CLASS),
      schemas: options.schemas ?? { get: () => undefined, list: () => [] },
    }
    const { sync = true, clock = systemClock } = options
    this.clock = clock
    this.appender = new Appender({ sync, clock })
    this.directory = directory
    this.lock = lock
    this.gone = new GoneRecords(this.indexes, path.join(options.directory, 'gone'), () =>
      Array.from(this.table.values(), (state) => [state.key, state.gone()] as const),
    )
  }

  async load(): Promise<void> {
    for (const { className, startMs } of await findBuckets(this.directory)) {
      const bucket = this.addBucket(className, startMs)
      const { lanes, damage } = await bucket.load()
      for (const part of lanes.values()) this.table.take(part.key).addBucket(bucket.id, part)
      for (const { lane, runs, reason } of damage) {
        this.damage.addSequences(lane, new IntervalSet(runs), reason)
      }
      for (const frame of bucket.takeLosses()) this.damage.add(frame)
    }
    for (const [key, gone] of await this.gone.load()) this.table.take(key).learn(gone)
    this.damage.retain((key, sequence) => this.table.get(key)?.held.has(sequence) !== true)
  }

  /** Grows with every change of what is held. */
  get version(): number {
    return this.table.version
  }

  /** fdatasync calls for frames so far. */
  get syncCount(): number {
    return this.appender.syncCount
  }

  append(
    frames: readonly StoredFrame[],
    onWritten?: () => void,
    isUrgent = onWritten !== undefined,
  ): Promise<void> {
    for (const { ingestUs } of frames) {
      if (Number.isSafeInteger(ingestUs) && ingestUs >= 0) continue
      return Promise.reject(new RangeError(`ingest time ${ingestUs} is not in µs since 1970`))
    }
    if (frames.length > 0) return this.appendNow(frames, isUrgent, onWritten)
    onWritten?.()
    return Promise.resolve()
  }

  lane(key: LaneKey): LaneRecord | undefined {
    return this.table.get(key)
  }

  lanes(): IterableIterator<LaneRecord> {
    return this.table.values()
  }

  lanesOf(stream: string, source: string): readonly LaneRecord[] {
    return this.table.of(stream, source)
  }

  async crcOf(key: LaneKey, sequence: number): Promise<number | undefined> {
    return (await this.crcsOf(key, [sequence])).get(sequence)
  }

  /** CRCs of those of the sequences that are held. */
  async crcsOf(key: LaneKey, sequences: readonly number[]): Promise<Map<number, number>> {
    const state = this.table.get(key)
    return state === undefined ? new Map() : this.finder.crcsOf(state, sequences)
  }

  async *read(key: LaneKey, from: number, to: number): AsyncGenerator<StoredFrame> {
    const state = this.table.get(key)
    const first = Math.max(1, Math.ceil(from))
    const last = Math.min(state?.held.last ?? 0, Math.floor(to))
    if (state === undefined || last < first) return
    yield* this.finder.read(state, state.held.and(new IntervalSet([first, last])))
  }

  async *scan({
    stream,
    source,
    fromUs,
    toUs,
  }: FrameRange): AsyncGenerator<StoredFrame | StoredBlock> {
    const search = { ...ALL_SEQUENCES, fromUs, toUs, dataOnly: true }
    const found: Located[] = []
    for (const state of this.table.of(stream, source)) {
      found.push(...(await this.finder.locate(state, search)).values())
    }
    yield* this.finder.scan(found.sort(byTime))
  }

  learnGone({ source, stream, epoch }: Lane, gone: Gone): Promise<void> {
    return this.goneTurns.take(async () => {
      this.checkOpen()
      const key = laneKey(source, stream, epoch)
      // As it will be: memory follows the disk.
      const learned = new LaneState(key)
      learned.learn(this.table.get(key)?.gone() ?? gone)
      learned.learn(gone)
      await this.gone.put([[key, learned.gone()]])
      const state = this.table.take(key)
      state.learn(gone)
      this.table.changed(state)
    })
  }

  /** What retention chooses from. Bytes are of files, the index included. */
  async bucketFacts(): Promise<BucketFacts[]> {
    const nowMs = this.clock.monotonicMs()
    const facts: BucketFacts[] = []
    for (const bucket of this.buckets.values()) {
      const { className, startMs, directory, writtenMs } = bucket
      // One that is cold changes no more.
      const known = bucket.lanes === undefined ? bucket.fileBytes : undefined
      bucket.fileBytes = known ?? (await bytesIn(directory))
      // There is none yet: a full disk did not take it.
      if (bucket.fileBytes === undefined) continue
      const idleMs = nowMs - writtenMs
      facts.push({ className, startMs, bytes: bucket.fileBytes, idleMs, segments: bucket.segments })
    }
    return facts
  }

  /**
   * Rewrites the segments of a bucket as block files. Frames can be added to it and read from it
   * meanwhile. False when there is no such bucket, or nothing to do.
   * @throws StorageError STORE_CLOSED, or the system's error; then all is as it was.
   */
  compact(className: string, startMs: number): Promise<boolean> {
    return this.reshaping.take(async () => {
      this.checkOpen()
      const bucket = this.buckets.at(className, startMs)
      if (bucket === undefined || bucket.segments === 0) return false
      await this.exclusively(async () => {
        // Once cool, all of it is in finished segments.
        await this.coolBucket(bucket)
        await this.makeWarm(bucket)
        bucket.isPinned = true
      })
      try {
        const held = new Map<LaneKey, IntervalSet>()
        for (const group of bucket.uncompacted()) await this.compactGroup(bucket, group, held)
        await this.finder.noteMissing(bucket, held)
      } finally {
        bucket.isPinned = false
        bucket.fileBytes = undefined
        await this.exclusively(() => this.coolBucket(bucket))
      }
      return true
    })
  }

  /**
   * Removes a bucket: what it held is trimmed from now on, and a record on disk says so before the
   * frames go. False when there is no such bucket, or frames came to it meanwhile.
   */
  trim(className: string, startMs: number): Promise<boolean> {
    return this.reshaping.take(async () => {
      this.checkOpen()
      const bucket = this.buckets.at(className, startMs)
      if (bucket === undefined) return false
      const writes = await this.exclusively(async () => {
        await this.coolBucket(bucket)
        return bucket.writes
      })
      const { lanes } = await bucket.load()
      await this.finder.noteLosses(bucket)
      for (const { lane, runs } of bucket.damageNotes()) {
        let part = lanes.get(lane)
        if (part === undefined) lanes.set(lane, (part = new BucketLane(lane, startMs)))
        part.held.addAll(new IntervalSet(runs))
      }
      const nowUs = this.clock.nowUs()
      return this.goneTurns.take(async () => {
        await this.gone.put(
          Array.from(lanes.values(), (part): [LaneKey, GoneLane] => [
            part.key,
            this.table.take(part.key).goneWith(part, nowUs),
          ]),
        )
        return this.exclusively(async () => {
          // What came meanwhile is not in what was noted as gone.
          return bucket.writes === writes && (await this.removeBucket(bucket, lanes, nowUs))
        })
      })
    })
  }

  /** Files that are written no more, oldest bucket first: what a scrub goes through. */
  finishedFiles(): StoreFile[] {
    const buckets = [...this.buckets.values()].sort((a, b) => a.startMs - b.startMs)
    return buckets.flatMap((bucket) => {
      const { className, startMs } = bucket
      return Array.from(bucket.finishedFiles(), (number) => ({ className, startMs, number }))
    })
  }

  /**
   * Reads a file from end to end and lists as damaged what can no longer be read of it. `pace` is told
   * of each piece read, and waited for. Returns how many frames were damaged. A file that is gone by
   * now has none. @throws the system's error when reading fails for another reason than the disk.
   */
  async verify({ className, startMs, number }: StoreFile, pace: Pace): Promise<number> {
    const bucket = this.buckets.at(className, startMs)
    if (bucket === undefined) return 0
    const { places, blocks } = await bucket.verify(number, pace)
    // Compacted meanwhile: what it held is elsewhere.
    if (!bucket.hasFile(number)) return 0
    const held = places.filter(
      ({ lane, location }) => this.table.get(lane)?.held.has(location.sequence) === true,
    )
    await this.finder.noteDamage(bucket, held, FOUND_BY_SCRUB)
    let damaged = held.length
    for (const block of blocks) {
      damaged += await this.finder.noteBlock(bucket, block, FOUND_BY_SCRUB)
    }
    return damaged
  }

  /**
   * Forgets lanes of which nothing is held, and nothing came or was removed since. Returns how many.
   */
  forgetLanes(beforeUs: number): Promise<number> {
    return this.goneTurns.take(async () => {
      const old = [...this.table.values()].filter(
        ({ held, lastIngestUs, trimmedUs }) =>
          held.isEmpty && Math.max(lastIngestUs, trimmedUs) < beforeUs,
      )
      if (old.length === 0) return 0
      await this.gone.delete(old.map(({ key }) => key))
      for (const state of old) this.table.delete(state)
      this.table.version += 1
      return old.length
    })
  }

  damaged(): readonly DamagedFrame[] {
    return this.damage.list()
  }

  /** The newest data frame of each lane, from memory. */
  *newest(): IterableIterator<NewestFrame> {
    for (const lane of this.table.values()) {
      if (lane.newestSequence === 0) continue
      yield { lane, lastUs: lane.newestUs, sequence: lane.newestSequence }
    }
  }

  async stats(): Promise<{ diskBytes: number; frames: number; samples: number; buckets: number }> {
    let frames = 0
    let samples = 0
    for (const lane of this.table.values()) {
      frames += lane.frameCount
      samples += lane.sampleCount
    }
    const diskBytes = await directoryBytes(this.directory)
    return { diskBytes, frames, samples, buckets: this.buckets.size }
  }

  /**
   * After a failed append: cuts off what was not acknowledged, checks what was, and takes appends
   * again.
   * @throws StorageError STORE_DISK_FULL, STORE_WRITE_FAILED while the disk still refuses.
   */
  reopen(): Promise<void> {
    return this.exclusively(async () => {
      this.checkOpen()
      try {
        for (const bucket of this.buckets.values()) {
          if (bucket.lanes === undefined) continue
          await this.recheck(bucket)
        }
        await this.appender.probe(path.join(this.directory, 'probe'))
        this.failure = undefined
      } catch (error) {
        throw this.fail(error)
      }
    })
  }

  close(): Promise<void> {
    if (this.closing === undefined) {
      this.stopping.abort(new StorageError('STORE_CLOSED', 'the store is closed'))
      this.closing = this.reshaping.take(() => this.exclusively(() => this.closeNow()))
    }
    return this.closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  private async appendNow(
    frames: readonly StoredFrame[],
    isUrgent: boolean,
    onWritten?: () => void,
  ): Promise<void> {
    // Synced while the next batch is written.
    const { batch, synced } = await this.turns.take(async () => {
      const batch = await this.write(frames, isUrgent)
      return { batch, synced: this.syncs.add(batch) }
    })
    onWritten?.()
    await synced
    if (this.buckets.warm().length > this.options.warmBucketsMax) {
      void this.exclusively(() => this.coolOldest(batch.parts.map(({ bucket }) => bucket)))
    }
  }

  private async write(frames: readonly StoredFrame[], isUrgent: boolean): Promise<WrittenBatch> {
    this.checkOpen()
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
    const mayBeHere = !batches.some(({ isUrgent }) => isUrgent)
    const parts = batches.flatMap((batch) => batch.parts)
    const segments = Map.groupBy(parts, ({ segment }) => segment)
    try {
      await allDone(
        Array.from(segments, ([segment, written]) => {
          const bytes = written.reduce((sum, { frames }) => sum + bytesOf(frames), 0)
          return segment.sync(this.appender, bytes, mayBeHere)
        }),
      )
    } catch (error) {
      throw this.fail(error)
    }
    this.table.version += 1
    const nowMs = this.clock.monotonicMs()
    for (const part of parts) {
      part.bucket.writtenMs = nowMs
      part.bucket.writes += 1
      this.take(part)
    }
  }

  private async recheck(bucket: Bucket): Promise<void> {
    await this.finder.noteDamage(bucket, await bucket.recheck(), 'lost with a failed write')
  }

  /** Work that nothing is written during, and that begins when all that was written is synced. */
  private exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.turns.take(async () => {
      await this.syncs.idle()
      return work()
    })
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
    const { bucketMs, classOf } = this.options
    const startMs = Math.floor(ingestUs / 1000 / bucketMs) * bucketMs
    const className = classOf(frame.stream)
    return this.buckets.at(className, startMs) ?? this.addBucket(className, startMs)
  }

  /** Counts what is on the disk. */
  private take({ bucket, segment, frames }: WrittenPart): void {
    const lanes = bucket.lanes!
    let offset = segment.nextOffset
    for (const { frame, ingestUs } of frames) {
      const state = this.table.take(frame.laneKey)
      const part = partOf(state, lanes, bucket.startMs)
      state.add(frame, ingestUs)
      state.changedAt = this.table.version
      part.add(frame, ingestUs, segment.number)
      segment.note(part, frame, ingestUs, offset)
      offset += RECORD_HEADER_BYTES + frame.bytes.length
      if (frame.kind === 'skip') {
        const runs = skipRuns(frame.body)
        state.skipped.addAll(runs)
        part.skipped.addAll(runs)
      }
      if (!this.damage.isEmpty) this.damage.delete(frame)
    }
  }

  private addBucket(className: string, startMs: number): Bucket {
    const { segmentBytesMax, segmentFramesMax } = this.options
    const bucket = new Bucket({
      id: this.buckets.nextId(),
      className,
      startMs,
      segmentBytesMax,
      segmentFramesMax,
      appender: this.appender,
      files: this.files,
      indexes: this.indexes,
      cache: this.cache,
      schemaOf: (id) => this.options.schemas.get(id),
      directory: path.join(this.directory, className, String(startMs)),
    })
    this.buckets.add(bucket)
    return bucket
  }

  private async makeWarm(bucket: Bucket): Promise<void> {
    if (bucket.lanes !== undefined) return
    await bucket.warm()
    for (const key of bucket.lanes!.keys()) this.table.take(key).extents.delete(bucket.id)
    await this.finder.noteLosses(bucket)
  }

  /** Keeps those just written; of the others the newest, as many as may stay warm. */
  private async coolOldest(written: readonly Bucket[]): Promise<void> {
    if (this.closing !== undefined || this.failure !== undefined) return
    const warm = this.buckets.warm()
    const others = warm.filter((bucket) => !written.includes(bucket) && !bucket.isPinned)
    others.sort((a, b) => a.startMs - b.startMs)
    const excess = Math.max(0, warm.length - this.options.warmBucketsMax)
    try {
      for (const bucket of others.slice(0, excess)) await this.coolBucket(bucket)
    } catch (error) {
      this.fail(error)
    }
  }

  private async coolBucket(bucket: Bucket): Promise<void> {
    // What a failed write left behind must not look like frames to the next life.
    if (this.failure !== undefined && bucket.lanes !== undefined) await this.recheck(bucket)
    await bucket.seal()
    // In one go: whoever looks for a frame finds the bucket by its lanes or by their extents.
    for (const part of bucket.lanes?.values() ?? []) {
      const state = this.table.take(part.key)
      state.extents.add(bucket.id, part)
      if (state.current === part) state.current = undefined
    }
    bucket.lanes = undefined
  }

  /** Adds to `held` what the block file has of each lane. */
  private async compactGroup(
    bucket: Bucket,
    segments: readonly number[],
    held: Map<LaneKey, IntervalSet>,
  ): Promise<void> {
    const { directory, startMs } = bucket
    const { number, unfinished } = bucket.nextBlockFile()
    const schemas = this.options.schemas.list().map(({ json }) => json)
    const made = await compactInThread(
      { directory, startMs, segments, file: unfinished, schemas },
      this.stopping.signal,
    )
    await bucket.adoptBlocks(number, segments, made)
    for (const [key, { runs }] of made.lanes) {
      held.set(key, (held.get(key) ?? new IntervalSet()).or(new IntervalSet(runs)))
    }
  }

  /** False, and nothing happened, when frames came to it since its lanes were read. */
  private async removeBucket(
    bucket: Bucket,
    lanes: ReadonlyMap<LaneKey, BucketLane>,
    nowUs: number,
  ): Promise<boolean> {
    if (bucket.lanes !== undefined) return false
    this.buckets.delete(bucket)
    this.table.version += 1
    for (const part of lanes.values()) this.trimLane(bucket, part, nowUs)
    this.damage.retain((key, sequence) => this.table.get(key)?.trimmed.has(sequence) !== true)
    await bucket.remove()
    return true
  }

  private trimLane(bucket: Bucket, part: BucketLane, nowUs: number): void {
    const state = this.table.take(part.key)
    state.trimBucket(bucket.id, part, nowUs)
    state.changedAt = this.table.version
  }

  private fail(error: unknown): StorageError {
    const failure = asWriteError(error, `cannot write to ${this.directory}`)
    if (failure.code !== 'STORE_CLOSED') this.failure = failure
    return failure
  }

  private checkOpen(): void {
    if (this.closing !== undefined) throw new StorageError('STORE_CLOSED', 'the store is closed')
  }

  private async closeNow(): Promise<void> {
    try {
      for (const bucket of this.buckets.warm()) {
        await this.coolBucket(bucket)
      }
    } catch (error) {
      throw asWriteError(error, `cannot finish ${this.directory}`)
    } finally {
      await this.files.close()
      await this.indexes.close()
      await this.lock.release()
    }
  }
}

/** As Promise.all, but when one fails the others have ended as well. */
async function allDone<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work)
  return Promise.all(work)
}

/** Undefined when the directory is not there. */
async function bytesIn(directory: string): Promise<number | undefined> {
  try {
    return await directoryBytes(directory)
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return undefined
    throw error
  }
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

function byTime(a: Located, b: Located): number {
  return (
    a.location.firstUs - b.location.firstUs ||
    (a.state.epoch < b.state.epoch ? -1 : Number(a.state.epoch > b.state.epoch)) ||
    a.location.sequence - b.location.sequence
  )
}
