// The FrameStore on a disk: append-only segments hold the frames, one classic-level database per
// bucket of ingest time is the index over them (docs/adr/0002-segments-with-a-level-index.md; bytes in
// record.ts and segment-index.ts). This file has the parts of a store and what is asked of it; frames are
// written in write-path.ts, found in frame-finder.ts, compacted and removed in reshaping.ts.
import fs from 'node:fs'
import path from 'node:path'
import { IntervalSet, systemClock, type Clock, type Lane, type LaneKey } from '../../mesh/index.ts'
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
import { DamageList } from './damage-list.ts'
import { asWriteError, directoryBytes, isErrorCode, makeDirectory } from './disk.ts'
import { findBuckets, LOCK } from './find-buckets.ts'
import { ALL_SEQUENCES, FrameFinder, type Located } from './frame-finder.ts'
import { GoneRecords } from './gone-records.ts'
import { HandlePool } from './handle-pool.ts'
import { openIndex } from './index-database.ts'
import { LaneTable } from './lane-table.ts'
import type { Pace } from './record.ts'
import type { IndexDatabase } from './records.ts'
import { Reshaping, type SchemaSource } from './reshaping.ts'
import { WritePath } from './write-path.ts'

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
  private readonly writePath: WritePath
  private readonly reshaping: Reshaping
  private readonly closed = new AbortController()
  private readonly cache = new BlockCache()
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
    const { table, buckets, damage, finder, appender, gone } = this
    const shared = { table, buckets, damage, finder, clock, closed: this.closed.signal }
    this.writePath = new WritePath({
      ...shared,
      ...this.options,
      directory,
      appender,
      addBucket: (className, startMs) => this.addBucket(className, startMs),
    })
    const { writePath } = this
    this.reshaping = new Reshaping({ ...shared, gone, writePath, schemas: this.options.schemas })
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
    if (frames.length > 0) return this.writePath.append(frames, isUrgent, onWritten)
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

  learnGone(lane: Lane, gone: Gone): Promise<void> {
    return this.reshaping.learnGone(lane, gone)
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
    return this.reshaping.compact(className, startMs)
  }

  /**
   * Removes a bucket: what it held is trimmed from now on, and a record on disk says so before the
   * frames go. False when there is no such bucket, or frames came to it meanwhile.
   */
  trim(className: string, startMs: number): Promise<boolean> {
    return this.reshaping.trim(className, startMs)
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
    return this.reshaping.forgetLanes(beforeUs)
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
    return this.writePath.reopen()
  }

  close(): Promise<void> {
    if (this.closing === undefined) {
      this.closed.abort(new StorageError('STORE_CLOSED', 'the store is closed'))
      const { reshaping, writePath } = this
      this.closing = reshaping.afterAll(() => writePath.exclusively(() => this.closeNow()))
    }
    return this.closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
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

  private async closeNow(): Promise<void> {
    try {
      for (const bucket of this.buckets.warm()) {
        await this.writePath.coolBucket(bucket)
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

/** Undefined when the directory is not there. */
async function bytesIn(directory: string): Promise<number | undefined> {
  try {
    return await directoryBytes(directory)
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return undefined
    throw error
  }
}

function byTime(a: Located, b: Located): number {
  return (
    a.location.firstUs - b.location.firstUs ||
    (a.state.epoch < b.state.epoch ? -1 : Number(a.state.epoch > b.state.epoch)) ||
    a.location.sequence - b.location.sequence
  )
}
