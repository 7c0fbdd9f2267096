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
  GoneRuns,
  LaneRecord,
  StoredFrame,
} from '../frame-store.ts'
import { Appender } from './appender.ts'
import { Bucket, type Location, type Search } from './bucket.ts'
import { asWriteError, makeDirectory } from './disk.ts'
import { HandlePool } from './handle-pool.ts'
import { openIndex } from './index-database.ts'
import { BucketLane, skipRuns, type LaneState } from './lane-state.ts'
import { LaneTable } from './lane-table.ts'
import { eachOf, pagesOf } from './pages.ts'
import { RECORD_HEADER_BYTES } from './record.ts'
import type { IndexDatabase } from './segment-index.ts'

export interface LevelStoreOptions {
  /** The store's directory; frames go to `buckets/default/` in it. Made when missing. */
  readonly directory: string
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
  const classDirectory = path.join(buckets, 'default')
  await makeDirectory(classDirectory)
  const lock = await lockDirectory(path.join(buckets, 'lock'))
  const store = new LevelStore(options, classDirectory, lock)
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
  private readonly buckets = new Map<number, Bucket>()
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
  private turn: Promise<unknown> = Promise.resolve()
  private failure: StorageError | undefined
  private closing: Promise<void> | undefined

  constructor(options: LevelStoreOptions, directory: string, lock: DirectoryLock) {
    this.options = {
      bucketMs: options.bucketMs ?? 3_600_000,
      segmentBytesMax: options.segmentBytesMax ?? 64 << 20,
      segmentFramesMax: options.segmentFramesMax ?? 1 << 18,
      warmBucketsMax: options.warmBucketsMax ?? 4,
    }
    const { sync = true, clock = systemClock } = options
    this.appender = new Appender({ sync, clock })
    this.directory = directory
    this.lock = lock
  }

  async load(): Promise<void> {
    const names = await fs.promises.readdir(this.directory)
    for (const name of names.filter((each) => /^\d+$/.test(each)).sort()) {
      const bucket = this.addBucket(Number(name))
      const { lanes, damage, lost } = await bucket.load()
      for (const part of lanes.values()) {
        const state = this.table.take(part.key)
        state.addBucket(part)
        state.extents.add(part)
      }
      for (const { lane, sequence, reason } of damage) this.listDamage(lane, sequence, reason)
      for (const frame of lost) this.damage.set(nameOf(frame), frame)
    }
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
    if (frames.length > 0) return this.inTurn(() => this.appendNow(frames, onWritten))
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

  async learnGone({ source, stream, epoch }: Lane, gone: GoneRuns): Promise<void> {
    this.checkOpen()
    const state = this.table.take(laneKey(source, stream, epoch))
    state.trimmed.addAll(gone.trimmed.minus(state.held))
    state.skipped.addAll(gone.skipped)
    this.version += 1
    state.changedAt = this.version
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
    let diskBytes = 0
    let frames = 0
    let samples = 0
    for (const lane of this.table.values()) {
      frames += lane.frameCount
      samples += lane.sampleCount
    }
    for (const entry of await fs.promises.readdir(this.directory, {
      recursive: true,
      withFileTypes: true,
    })) {
      if (!entry.isFile()) continue
      const file = path.join(entry.parentPath, entry.name)
      // LevelDB may remove a file of its own between the listing and now.
      diskBytes += fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0
    }
    return { diskBytes, frames, samples, buckets: this.buckets.size }
  }

  /**
   * After a failed append: cuts off what was not acknowledged, checks what was, and takes appends
   * again.
   * @throws StorageError STORE_DISK_FULL, STORE_WRITE_FAILED while the disk still refuses.
   */
  reopen(): Promise<void> {
    return this.inTurn(async () => {
      this.checkOpen()
      try {
        for (const bucket of this.buckets.values()) {
          if (bucket.lanes === undefined) continue
          for (const { lane, location } of await bucket.recheck()) {
            await this.noteDamage(this.table.take(lane), location, 'lost with a failed write')
          }
        }
        await this.appender.probe(path.join(this.directory, 'probe'))
        this.failure = undefined
      } catch (error) {
        throw this.fail(error)
      }
    })
  }

  close(): Promise<void> {
    this.closing ??= this.inTurn(() => this.closeNow())
    return this.closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.turn.then(work)
    this.turn = result.catch(() => undefined)
    return result
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
      if (this.warmBuckets().length > this.options.warmBucketsMax) {
        void this.inTurn(() => this.coolOldest([...groups.keys()]))
      }
    } catch (error) {
      throw this.fail(error)
    }
  }

  private groupByBucket(frames: readonly StoredFrame[]): Map<Bucket, readonly StoredFrame[]> {
    const { bucketMs } = this.options
    const startOf = ({ ingestUs }: StoredFrame): number =>
      Math.floor(ingestUs / 1000 / bucketMs) * bucketMs
    const startMs = startOf(frames[0]!)
    if (frames.every((frame) => startOf(frame) === startMs)) {
      return new Map([[this.bucketAt(startMs), frames]])
    }
    const byStart = Map.groupBy(frames, startOf)
    return new Map([...byStart].map(([start, group]) => [this.bucketAt(start), group]))
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

  private addBucket(startMs: number): Bucket {
    const { segmentBytesMax, segmentFramesMax } = this.options
    const bucket = new Bucket({
      startMs,
      segmentBytesMax,
      segmentFramesMax,
      appender: this.appender,
      files: this.files,
      indexes: this.indexes,
      directory: path.join(this.directory, String(startMs)),
    })
    this.buckets.set(startMs, bucket)
    return bucket
  }

  private bucketAt(startMs: number): Bucket {
    return this.buckets.get(startMs) ?? this.addBucket(startMs)
  }

  private async makeWarm(bucket: Bucket): Promise<void> {
    if (bucket.lanes !== undefined) return
    await bucket.warm()
    for (const key of bucket.lanes!.keys()) this.table.take(key).extents.delete(bucket.startMs)
  }

  private warmBuckets(): Bucket[] {
    return [...this.buckets.values()].filter(({ lanes }) => lanes !== undefined)
  }

  /** Keeps those just written; of the others the newest, as many as may stay warm. */
  private async coolOldest(written: readonly Bucket[]): Promise<void> {
    if (this.closing !== undefined || this.failure !== undefined) return
    const warm = this.warmBuckets()
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
      state.extents.add(part)
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
    const starts = new Set(state.extents.overlapping(search))
    for (const { startMs, lanes } of this.buckets.values()) {
      if (lanes?.has(state.key) === true) starts.add(startMs)
    }
    // The newest bucket first: what is asked for twice is most often recent.
    for (const startMs of [...starts].sort((a, b) => b - a)) {
      if (found.size >= wanted) break
      const bucket = this.buckets.get(startMs)!
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
      await this.noteDamage(state, place, record)
      return undefined
    }
    const { frame, ingestUs } = record
    if (frame.laneKey !== state.key || frame.sequence !== place.sequence) {
      await this.noteDamage(state, place, 'another frame stands there')
      return undefined
    }
    return { frame, ingestUs }
  }

  private async noteDamage(state: LaneState, place: Location, reason: string): Promise<void> {
    this.forget(state, place.sequence, place.count, reason)
    const part = place.bucket.lanes?.get(state.key)
    part?.remove(place.sequence, place.count)
    // Should the note not reach the disk, the next read finds the damage again.
    await place.bucket.noteDamage(state.key, place, reason).catch(() => undefined)
  }

  private forget(state: LaneState, sequence: number, count: number, reason: string): void {
    if (!state.held.has(sequence)) return
    state.remove(sequence, count)
    this.listDamage(state.key, sequence, reason)
    this.version += 1
    state.changedAt = this.version
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
      for (const bucket of this.warmBuckets()) {
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
