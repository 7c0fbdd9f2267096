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
  type Frame,
  type Lane,
  type LaneKey,
} from '../../mesh/index.ts'
import { lockDirectory, type DirectoryLock } from '../directory-lock.ts'
import { StorageError } from '../errors.ts'
import type {
  DamagedFrame,
  FrameRange,
  FrameStore,
  Gone,
  LaneRecord,
  StoredFrame,
} from '../frame-store.ts'
import { DEFAULT_CLASS, type BucketFacts } from '../retention.ts'
import { Appender } from './appender.ts'
import { Bucket, type FramePlace, type Location, type Search } from './bucket.ts'
import { BucketTable } from './bucket-table.ts'
import { asWriteError, directoryBytes, makeDirectory } from './disk.ts'
import { findBuckets, LOCK } from './find-buckets.ts'
import { GoneRecords } from './gone-records.ts'
import { HandlePool } from './handle-pool.ts'
import { openIndex } from './index-database.ts'
import { BucketLane, LaneState, skipRuns } from './lane-state.ts'
import { LaneTable } from './lane-table.ts'
import { eachOf, pagesOf } from './pages.ts'
import { RECORD_HEADER_BYTES, type Pace } from './record.ts'
import type { IndexDatabase } from './records.ts'
import { Turns } from './turns.ts'

export interface LevelStoreOptions {
  /** The store's directory; frames go to `buckets/<class>/` in it. Made when missing. */
  readonly directory: string
  /** The retention class of a stream. Default: one class for all. */
  readonly classOf?: (stream: string) => string
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
/** Frames read at the same time: the thread pool has four threads, some more keep them busy. */
const READS_AT_ONCE = 16
const ALL_TIME = { fromUs: -Infinity, toUs: Infinity }
const ALL_SEQUENCES = { fromSequence: 1, toSequence: Infinity }

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
  version = 0
  private readonly options: Required<Omit<LevelStoreOptions, 'directory' | 'sync' | 'clock'>>
  private readonly appender: Appender
  private readonly directory: string
  private readonly lock: DirectoryLock
  private readonly table = new LaneTable()
  private readonly buckets = new BucketTable()
  private readonly gone: GoneRecords
  private readonly damage = new Map<string, DamagedFrame>()
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
  /** One append, cooling or re-opening at a time. */
  private readonly turns = new Turns()
  /** One change of what is gone at a time. */
  private readonly goneTurns = new Turns()
  private failure: StorageError | undefined
  private closing: Promise<void> | undefined

  constructor(options: LevelStoreOptions, directory: string, lock: DirectoryLock) {
    this.options = {
      bucketMs: options.bucketMs ?? 3_600_000,
      segmentBytesMax: options.segmentBytesMax ?? 64 << 20,
      segmentFramesMax: options.segmentFramesMax ?? 1 << 18,
      warmBucketsMax: options.warmBucketsMax ?? 4,
      classOf: options.classOf ?? (() => DEFAULT_CLASS),
    }
    const { sync = true, clock = systemClock } = options
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
      const { lanes, damage, lost } = await bucket.load()
      for (const part of lanes.values()) this.table.take(part.key).addBucket(bucket.id, part)
      for (const { lane, sequence, reason } of damage) this.listDamage(lane, sequence, reason)
      for (const frame of lost) this.damage.set(nameOf(frame), frame)
    }
    for (const [key, gone] of await this.gone.load()) this.table.take(key).learn(gone)
    for (const [name, frame] of this.damage) {
      const lane = this.table.get(laneKey(frame.source, frame.stream, frame.epoch))
      if (lane?.held.has(frame.sequence) === true) this.damage.delete(name)
    }
  }

  append(frames: readonly StoredFrame[], onWritten?: () => void): Promise<void> {
    for (const { ingestUs } of frames) {
      if (Number.isSafeInteger(ingestUs) && ingestUs >= 0) continue
      return Promise.reject(new RangeError(`ingest time ${ingestUs} is not in µs since 1970`))
    }
    if (frames.length > 0) return this.turns.take(() => this.appendNow(frames, onWritten))
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

  /** CRCs of those of the sequences that are held; one pass over the index for all of them. */
  async crcsOf(key: LaneKey, sequences: readonly number[]): Promise<Map<number, number>> {
    const state = this.table.get(key)
    const wanted = new Set(sequences.filter((sequence) => state?.held.has(sequence) ?? false))
    const crcs = new Map<number, number>()
    if (state === undefined || wanted.size === 0) return crcs
    const search = {
      ...ALL_TIME,
      fromSequence: Math.min(...wanted),
      toSequence: Math.max(...wanted),
      sequences: wanted,
    }
    for (const { sequence, crc } of (await this.locate(state, search, wanted.size)).values()) {
      crcs.set(sequence, crc)
    }
    return crcs
  }

  async *read(key: LaneKey, from: number, to: number): AsyncGenerator<StoredFrame> {
    const state = this.table.get(key)
    const first = Math.max(1, Math.ceil(from))
    const last = Math.min(state?.held.last ?? 0, Math.floor(to))
    if (state === undefined || last < first) return
    const wanted = state.held.and(new IntervalSet([first, last]))
    for (const page of pagesOf(wanted)) {
      const search = { ...ALL_TIME, fromSequence: page.first, toSequence: page.last }
      const found = await this.locate(state, search, page.size)
      const places = [...found.values()].sort((a, b) => a.sequence - b.sequence)
      yield* this.readAll(places.map((place) => ({ state, place })))
      if (found.size >= page.size) continue
      for (const sequence of eachOf(wanted, page.first, page.last)) {
        // Named as held, yet neither the index nor, read anew, the segments know where.
        if (!found.has(sequence)) this.forget(state, sequence, 0, 'not in the index')
      }
    }
  }

  async *scan({ stream, source, fromUs, toUs }: FrameRange): AsyncGenerator<StoredFrame> {
    const search = { ...ALL_SEQUENCES, fromUs, toUs, dataOnly: true }
    const found: { state: LaneState; place: Location }[] = []
    for (const state of this.table.of(stream, source)) {
      for (const place of (await this.locate(state, search)).values()) found.push({ state, place })
    }
    found.sort(
      (a, b) =>
        a.place.firstUs - b.place.firstUs ||
        (a.state.epoch < b.state.epoch ? -1 : Number(a.state.epoch > b.state.epoch)) ||
        a.place.sequence - b.place.sequence,
    )
    yield* this.readAll(found)
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
      this.changed(state)
    })
  }

  /** What retention chooses from. Bytes are of files, the index included. */
  async bucketFacts(): Promise<BucketFacts[]> {
    const facts: BucketFacts[] = []
    for (const bucket of this.buckets.values()) {
      const { className, startMs, directory } = bucket
      // One that is cold changes no more.
      const known = bucket.lanes === undefined ? bucket.fileBytes : undefined
      bucket.fileBytes = known ?? (await directoryBytes(directory))
      facts.push({ className, startMs, bytes: bucket.fileBytes })
    }
    return facts
  }

  /**
   * Removes a bucket: what it held is trimmed from now on, and a record on disk says so before the
   * frames go. False when there is no such bucket, or frames came to it meanwhile.
   */
  trim(className: string, startMs: number): Promise<boolean> {
    return this.goneTurns.take(async () => {
      this.checkOpen()
      const bucket = this.buckets.at(className, startMs)
      if (bucket === undefined) return false
      await this.turns.take(() => this.coolBucket(bucket))
      const { lanes } = await bucket.load()
      for (const { lane, sequence } of bucket.damagedNames()) {
        lanes.get(lane)?.held.add(sequence)
      }
      const records = Array.from(lanes.values(), (part): [LaneKey, Gone] => [
        part.key,
        this.table.take(part.key).gone(part),
      ])
      await this.gone.put(records)
      return this.turns.take(async () => {
        if (bucket.lanes !== undefined) return false
        this.buckets.delete(bucket)
        this.version += 1
        for (const part of lanes.values()) this.trimLane(bucket, part)
        await bucket.remove()
        return true
      })
    })
  }

  /** Files that are written no more, oldest bucket first: what a scrub goes through. */
  finishedFiles(): StoreFile[] {
    const buckets = [...this.buckets.values()].sort((a, b) => a.startMs - b.startMs)
    return buckets.flatMap((bucket) => {
      const { className, startMs } = bucket
      return bucket.finished().map((number) => ({ className, startMs, number }))
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
    const places = await bucket.verify(number, pace)
    const held = places.filter(
      ({ lane, location }) => this.table.get(lane)?.held.has(location.sequence) === true,
    )
    await this.noteDamage(bucket, held, 'found by the scrub')
    return held.length
  }

  /** Forgets lanes of which nothing is held and nothing was heard since. Returns how many. */
  forgetLanes(beforeUs: number): Promise<number> {
    return this.goneTurns.take(async () => {
      const old = [...this.table.values()].filter(
        ({ held, lastIngestUs }) => held.isEmpty && lastIngestUs < beforeUs,
      )
      if (old.length === 0) return 0
      await this.gone.delete(old.map(({ key }) => key))
      for (const state of old) this.table.delete(state)
      this.version += 1
      return old.length
    })
  }

  damaged(): readonly DamagedFrame[] {
    return [...this.damage.values()]
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
    return this.turns.take(async () => {
      this.checkOpen()
      try {
        for (const bucket of this.buckets.values()) {
          if (bucket.lanes === undefined) continue
          await this.noteDamage(bucket, await bucket.recheck(), 'lost with a failed write')
        }
        await this.appender.probe(path.join(this.directory, 'probe'))
        this.failure = undefined
      } catch (error) {
        throw this.fail(error)
      }
    })
  }

  close(): Promise<void> {
    this.closing ??= this.turns.take(() => this.closeNow())
    return this.closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  private async appendNow(frames: readonly StoredFrame[], onWritten?: () => void): Promise<void> {
    this.checkOpen()
    if (this.failure !== undefined) throw this.failure
    try {
      const groups = this.groupByBucket(frames)
      for (const bucket of groups.keys()) await this.makeWarm(bucket)
      const noted = onWritten === undefined ? undefined : onLast(groups.size, onWritten)
      await Promise.all([...groups].map(([bucket, group]) => bucket.write(group, noted)))
      this.version += 1
      for (const [bucket, group] of groups) this.take(bucket, group)
      if (this.buckets.warm().length > this.options.warmBucketsMax) {
        void this.turns.take(() => this.coolOldest([...groups.keys()]))
      }
    } catch (error) {
      throw this.fail(error)
    }
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

  /** Counts a batch that is on the disk. */
  private take(bucket: Bucket, frames: readonly StoredFrame[]): void {
    const segment = bucket.writing
    const lanes = bucket.lanes!
    let offset = segment.nextOffset
    for (const { frame, ingestUs } of frames) {
      const state = this.table.take(frame.laneKey)
      const part = partOf(state, lanes, bucket.startMs)
      state.add(frame, ingestUs)
      state.changedAt = this.version
      part.add(frame, ingestUs, segment.number)
      segment.note(part, frame, ingestUs, offset)
      offset += RECORD_HEADER_BYTES + frame.bytes.length
      if (frame.kind === 'skip') {
        const runs = skipRuns(frame.body)
        state.skipped.addAll(runs)
        part.skipped.addAll(runs)
      }
      if (this.damage.size > 0) this.damage.delete(nameOf(frame))
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
      directory: path.join(this.directory, className, String(startMs)),
    })
    this.buckets.add(bucket)
    return bucket
  }

  private async makeWarm(bucket: Bucket): Promise<void> {
    if (bucket.lanes !== undefined) return
    await bucket.warm()
    for (const key of bucket.lanes!.keys()) this.table.take(key).extents.delete(bucket.id)
  }

  /** Keeps those just written; of the others the newest, as many as may stay warm. */
  private async coolOldest(written: readonly Bucket[]): Promise<void> {
    if (this.closing !== undefined || this.failure !== undefined) return
    const warm = this.buckets.warm()
    const others = warm.filter((bucket) => !written.includes(bucket))
    others.sort((a, b) => a.startMs - b.startMs)
    const excess = Math.max(0, warm.length - this.options.warmBucketsMax)
    try {
      for (const bucket of others.slice(0, excess)) await this.coolBucket(bucket)
    } catch (error) {
      this.fail(error)
    }
  }

  private async coolBucket(bucket: Bucket): Promise<void> {
    await bucket.seal()
    // In one go: whoever looks for a frame finds the bucket by its lanes or by their extents.
    for (const part of bucket.lanes?.values() ?? []) {
      const state = this.table.take(part.key)
      state.extents.add(bucket.id, part)
      if (state.current === part) state.current = undefined
    }
    bucket.lanes = undefined
  }

  /** Where the frames that pass stand, by sequence; of two copies the one that is newer in its bucket. */
  private async locate(
    state: LaneState,
    search: Search,
    wanted = Infinity,
  ): Promise<Map<number, Location>> {
    const found = new Map<number, Location>()
    const buckets = this.buckets.warm().filter(({ lanes }) => lanes!.has(state.key))
    for (const id of state.extents.overlapping(search)) buckets.push(this.buckets.get(id)!)
    // The newest bucket first: what is asked for twice is most often recent.
    for (const bucket of buckets.sort((a, b) => b.startMs - a.startMs)) {
      if (found.size >= wanted) break
      for (const place of await bucket.find(state.key, search, wanted - found.size)) {
        if (state.held.has(place.sequence) && !found.has(place.sequence)) {
          found.set(place.sequence, place)
        }
      }
    }
    return found
  }

  private async *readAll(
    places: readonly { state: LaneState; place: Location }[],
  ): AsyncGenerator<StoredFrame> {
    for (let i = 0; i < places.length; i += READS_AT_ONCE) {
      const some = places.slice(i, i + READS_AT_ONCE)
      const frames = await Promise.all(some.map(({ state, place }) => this.readOne(state, place)))
      for (const frame of frames) if (frame !== undefined) yield frame
    }
  }

  private async readOne(state: LaneState, place: Location): Promise<StoredFrame | undefined> {
    const record = await place.bucket.read(place)
    if (typeof record === 'string') {
      await this.noteDamage(place.bucket, [{ lane: state.key, location: place }], record)
      return undefined
    }
    const { frame, ingestUs } = record
    if (frame.laneKey !== state.key || frame.sequence !== place.sequence) {
      const what = 'another frame stands there'
      await this.noteDamage(place.bucket, [{ lane: state.key, location: place }], what)
      return undefined
    }
    return { frame, ingestUs }
  }

  private async noteDamage(
    bucket: Bucket,
    places: readonly FramePlace[],
    reason: string,
  ): Promise<void> {
    // A reader that began before retention came finds nothing there; that is no damage.
    if (bucket.isRemoved || places.length === 0) return
    for (const { lane, location } of places) {
      this.forget(this.table.take(lane), location.sequence, location.count, reason)
      bucket.lanes?.get(lane)?.remove(location.sequence, location.count)
    }
    // Should the note not reach the disk, the next read finds the damage again.
    await bucket.noteDamage(places, reason).catch(() => undefined)
  }

  private forget(state: LaneState, sequence: number, count: number, reason: string): void {
    if (!state.held.has(sequence)) return
    state.remove(sequence, count)
    this.listDamage(state.key, sequence, reason)
    this.changed(state)
  }

  private changed(state: LaneState): void {
    this.version += 1
    state.changedAt = this.version
  }

  private trimLane(bucket: Bucket, part: BucketLane): void {
    const state = this.table.take(part.key)
    state.trimBucket(bucket.id, part)
    state.changedAt = this.version
    for (const frame of this.damage.values()) {
      const isTrimmed = state.trimmed.has(frame.sequence)
      if (isTrimmed && laneKey(frame.source, frame.stream, frame.epoch) === state.key) {
        this.damage.delete(nameOf(frame))
      }
    }
  }

  private listDamage(key: LaneKey, sequence: number, reason: string): void {
    const { source, stream, epoch } = this.table.take(key)
    const frame = { source, stream, epoch, sequence, reason }
    this.damage.set(nameOf(frame), frame)
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
        // What a failed write left behind must not look like frames to the next life.
        if (this.failure !== undefined) await bucket.recheck()
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

/** A function that calls another when it has been called so many times. */
function onLast(calls: number, act: () => void): () => void {
  let left = calls
  return () => {
    left -= 1
    if (left === 0) act()
  }
}

function partOf(state: LaneState, lanes: Map<LaneKey, BucketLane>, startMs: number): BucketLane {
  if (state.current?.bucketMs === startMs) return state.current
  let part = lanes.get(state.key)
  if (part === undefined) lanes.set(state.key, (part = new BucketLane(state.key, startMs)))
  state.current = part
  return part
}

function nameOf({ stream, source, epoch, sequence }: Omit<DamagedFrame, 'reason'> | Frame): string {
  return `${stream}\0${source}\0${epoch}\0${sequence}`
}
