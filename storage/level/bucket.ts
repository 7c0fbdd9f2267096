// One bucket of ingest time: a directory of segment files and the index over them.
//
//   <bucketStartMs>/000001.seg  000002.seg  …  index/
//
//   cold ──first append──► warm ──append──► … segment full: its entries go to the index …
//     ▲                                                      │
//     └──── cool: last segment to the index, lane summaries ◄┘
//
// Warm: what the bucket holds of each lane is in memory, and the newest segments' entries too. Cold:
// all of it is in the index. A bucket whose index does not sum up exactly the segments that are
// there is rebuilt from them when opened (recovery.ts).
import fs from 'node:fs'
import path from 'node:path'
import { syncDirectory, type LaneKey } from '../../mesh/index.ts'
import type { StoredFrame } from '../frame-store.ts'
import type { Appender } from './appender.ts'
import { isErrorCode, makeDirectory, readFully } from './disk.ts'
import type { FrameTable } from './frame-table.ts'
import type { HandlePool } from './handle-pool.ts'
import { BucketIndex } from './index-database.ts'
import type { BucketLane, FrameFilter } from './lane-state.ts'
import {
  readRecord,
  RECORD_HEADER_BYTES,
  scanSegment,
  type Pace,
  type SegmentRecord,
} from './record.ts'
import type { IndexDatabase } from './records.ts'
import { loadBucket, recoverSegment, type LoadedBucket } from './recovery.ts'
import {
  dropBucketSummary,
  getBucketLane,
  getLane,
  getSegmentLanes,
  putBucket,
  putDamage,
  putSegment,
  type DamageNote,
} from './segment-index.ts'
import { MemorySegment, segmentName, type SegmentSummary } from './segment.ts'

export interface BucketOptions {
  readonly directory: string
  /** What lanes call it by, in this life of the store. */
  readonly id: number
  /** Retention class of everything in it. */
  readonly className: string
  readonly startMs: number
  /** A segment takes no further batch beyond either bound. */
  readonly segmentBytesMax: number
  readonly segmentFramesMax: number
  readonly appender: Appender
  readonly files: HandlePool<number>
  readonly indexes: HandlePool<IndexDatabase>
}

/** Where one frame stands, and what the index says of it. */
export interface Location {
  readonly bucket: Bucket
  readonly segment: number
  readonly offset: number
  readonly bytes: number
  readonly crc: number
  readonly sequence: number
  readonly firstUs: number
  readonly count: number
}

/** Whose frame stands where. */
export interface FramePlace {
  readonly lane: LaneKey
  readonly location: Location
}

export interface Search extends FrameFilter {
  readonly dataOnly?: boolean
  readonly sequences?: ReadonlySet<number>
}

/** Of the name of a bucket's directory while it is being removed. */
export const REMOVED_SUFFIX = '.removed'
/** Segments whose index records are read at once. */
const SEGMENTS_PER_READ = 16
/** Segments that may wait for their index before an append waits too: 64 MiB of file each. */
const WAITING_MAX = 3

export class Bucket {
  readonly id: number
  readonly className: string
  readonly startMs: number
  readonly directory: string
  /** Segments the index knows, by number. */
  readonly segments = new Map<number, SegmentSummary>()
  /** What the bucket holds of each lane, while warm. */
  lanes: Map<LaneKey, BucketLane> | undefined
  /** Bytes of its files when last counted. */
  fileBytes: number | undefined
  private readonly options: BucketOptions
  private readonly index: BucketIndex
  /** Segments the index does not know yet, oldest first; the last may be the one being written. */
  private readonly waiting: MemorySegment[] = []
  private active: MemorySegment | undefined
  private readonly damage = new Map<string, DamageNote>()
  private lastNumber = 0
  /** Retention took it: nothing of it is to be found any more. */
  isRemoved = false
  private indexing: Promise<void> = Promise.resolve()
  private indexFailure: unknown
  /** What has been rebuilt once in this life is not rebuilt again at the next miss. */
  private readonly rebuilt = new Set<number | 'summaries'>()

  constructor(options: BucketOptions) {
    this.options = options
    this.id = options.id
    this.className = options.className
    this.startMs = options.startMs
    this.directory = options.directory
    const directory = path.join(options.directory, 'index')
    this.index = new BucketIndex(options.indexes, directory, (db) => this.refillIndex(db))
  }

  /** Reads what the bucket holds, rebuilding the index where it does not add up. It is cold then. */
  load(): Promise<LoadedBucket> {
    return this.useIndex((db) => this.loadFrom(db))
  }

  /** Makes the directory of a bucket that is not on disk yet. */
  async create(): Promise<void> {
    await makeDirectory(this.directory)
    this.lanes = new Map()
  }

  /** Reads the lane summaries back in, so that frames can be added. */
  async warm(): Promise<void> {
    this.lanes ??= (await this.load()).lanes
  }

  /** Appends and syncs a batch; it counts once `takeBatch` has been called. */
  async write(frames: readonly StoredFrame[], onWritten?: () => void): Promise<void> {
    const { segmentBytesMax, segmentFramesMax, appender } = this.options
    if (this.indexFailure !== undefined) throw this.indexFailure
    const { active } = this
    if (active !== undefined) {
      if (active.bytes >= segmentBytesMax || active.table.length >= segmentFramesMax) this.finish()
    }
    if (this.waiting.length > WAITING_MAX) await this.settled()
    await (this.active ?? (await this.startSegment())).write(frames, appender, onWritten)
  }

  /** The segment that the batch just written went to. */
  get writing(): MemorySegment {
    return this.active!
  }

  /** Frames of a lane that pass, newest segment first; a name may occur twice after damage. */
  async find(key: LaneKey, search: Search, wanted = Infinity): Promise<Location[]> {
    try {
      return await this.findHere(key, search, wanted)
    } catch (error) {
      if (this.isRemoved) return []
      throw error
    }
  }

  /** Reads and checks one record; a string says why it is damaged. */
  async read({ segment, offset, bytes }: Location): Promise<SegmentRecord | string> {
    const buffer = Buffer.allocUnsafe(RECORD_HEADER_BYTES + bytes)
    try {
      return await this.options.files.use(this.fileOf(segment), async (fd) => {
        const got = await readFully(fd, buffer, buffer.length, offset)
        return got < buffer.length ? 'short' : readRecord(buffer, offset)
      })
    } catch (error) {
      // Anything else (too many open files, no memory) says nothing about the frame.
      if (!isErrorCode(error, 'ENOENT', 'EIO')) throw error
      return (error as Error).message
    }
  }

  /** Remembers, over restarts too, that nothing readable stands there. */
  async noteDamage(places: readonly FramePlace[], reason: string): Promise<void> {
    const notes = places.map(({ lane, location: { segment, offset, sequence } }) => {
      return { segment, offset, lane, sequence, reason }
    })
    for (const note of notes) this.damage.set(`${note.segment}:${note.offset}`, note)
    await this.useIndex(async (db) => {
      await putDamage(db, notes)
      // The summaries count the frames in; opening again goes through the segments' records.
      if (this.lanes === undefined) await dropBucketSummary(db)
    })
  }

  /** Finished segments, by number: those that are written no more. */
  finished(): number[] {
    return [...this.segments.keys()]
  }

  /**
   * Reads a finished segment from end to end, and returns what the index knows to be in it and no
   * record that holds is there for.
   */
  async verify(number: number, pace: Pace): Promise<FramePlace[]> {
    const entries = await this.entriesOf(number)
    const crcs = await this.crcsIn(number, entries, pace)
    return entries.filter(({ location: { offset, crc } }) => {
      return crcs.get(offset) !== crc && !this.damage.has(`${number}:${offset}`)
    })
  }

  /** Writes everything to the index. Not while anything is appended. */
  async seal(): Promise<void> {
    if (this.lanes === undefined) return
    const { lanes } = this
    this.finish()
    await this.settled()
    const segments = [...this.segments].map(([number, { bytes }]) => [number, bytes] as const)
    await this.useIndex((db) => putBucket(db, lanes, segments))
  }

  /**
   * After a failed write: cuts off what was not acknowledged, and reads all segments without an index
   * again. Returns the names that are not there any more.
   * @throws the system's error when the disk still refuses.
   */
  async recheck(): Promise<FramePlace[]> {
    await this.settled().catch(() => undefined)
    this.indexFailure = undefined
    await this.index.close()
    this.active?.cutToSynced()
    const unindexed = this.waiting.slice()
    this.finish()
    const lost: FramePlace[] = []
    for (const segment of unindexed) {
      const present = new Set<number>()
      if (segment.table.length === 0) continue
      await this.options.files.use(this.fileOf(segment.number), (fd) =>
        scanSegment(fd, ({ offset }) => present.add(offset)),
      )
      for (const { key } of segment.lanes) {
        for (const index of segment.entriesOf(key)) {
          if (present.has(segment.table.offset(index))) continue
          lost.push({ lane: key, location: this.locate(segment.number, segment.table, index) })
        }
      }
    }
    await this.settled()
    return lost
  }

  /** Names of frames of the bucket that are listed as damaged. */
  damagedNames(): Iterable<Pick<DamageNote, 'lane' | 'sequence'>> {
    return this.damage.values()
  }

  /**
   * Removes a cold bucket with all that is in it. It is renamed first, so that a stop in the middle
   * does not leave a part of it.
   */
  async remove(): Promise<void> {
    this.isRemoved = true
    const removed = `${this.directory}${REMOVED_SUFFIX}`
    await this.index.close()
    await Promise.all(
      Array.from(this.segments.keys(), (number) => this.options.files.close(this.fileOf(number))),
    )
    await fs.promises.rename(this.directory, removed)
    await fs.promises.rm(removed, { recursive: true, force: true })
  }

  /** Resolves when every finished segment is in the index. @throws when the index could not take one. */
  async settled(): Promise<void> {
    await this.indexing
    if (this.indexFailure !== undefined) throw this.indexFailure
  }

  /** Ends the segment being written, if any; its entries go to the index behind the scenes. */
  finish(): void {
    this.active?.finish()
    // A segment whose first batch failed has no frames: opening the store removes its file.
    if (this.active?.table.length === 0) this.waiting.pop()
    this.active = undefined
    this.indexing = this.indexing
      .then(() => this.indexWaiting())
      .catch((error: unknown) => {
        this.indexFailure ??= error
      })
  }

  private async findHere(key: LaneKey, search: Search, wanted: number): Promise<Location[]> {
    const found: Location[] = []
    for (const segment of this.waiting.toReversed()) {
      for (const index of segment.entriesOf(key)) {
        this.collect(found, segment.number, segment.table, index, search)
      }
    }
    const candidates = found.length < wanted ? await this.candidates(key, search) : []
    for (let i = 0; i < candidates.length && found.length < wanted; i += SEGMENTS_PER_READ) {
      const numbers = candidates.slice(i, i + SEGMENTS_PER_READ)
      for (const [j, tables] of (await this.tablesOf(key, numbers)).entries()) {
        for (const table of tables.toReversed()) {
          for (let index = table.length - 1; index >= 0; index--) {
            this.collect(found, numbers[j]!, table, index, search)
          }
        }
      }
    }
    return found
  }

  /** The index, unless it would be made anew in place of one that was removed. */
  private useIndex<R>(work: (db: IndexDatabase) => Promise<R>): Promise<R> {
    if (this.isRemoved) return Promise.reject(new Error(`${this.directory} was removed`))
    return this.index.use(work)
  }

  private async indexWaiting(): Promise<void> {
    for (;;) {
      const [segment] = this.waiting
      if (segment === undefined || segment === this.active) return
      await this.useIndex((db) => putSegment(db, segment))
      this.segments.set(segment.number, segment.summary())
      this.waiting.shift()
    }
  }

  private async startSegment(): Promise<MemorySegment> {
    this.lastNumber += 1
    const segment = MemorySegment.create(
      this.fileOf(this.lastNumber),
      this.lastNumber,
      this.startMs,
    )
    this.waiting.push(segment)
    this.active = segment
    // Before the first frame in it is acknowledged, the file's name must last.
    if (this.options.appender.syncs) await syncDirectory(this.directory)
    return segment
  }

  /** Indexed segments, newest first, that hold frames of the lane and may hold some of this time. */
  private async candidates(key: LaneKey, { fromUs, toUs }: Search): Promise<number[]> {
    const part = await this.partOf(key)
    const numbers: number[] = []
    for (const [from, to] of part?.segments ?? []) {
      for (let number = from; number <= to; number++) {
        const summary = this.segments.get(number)
        if (summary === undefined || summary.firstUs >= toUs || summary.lastUs < fromUs) continue
        numbers.push(number)
      }
    }
    return numbers.reverse()
  }

  private async partOf(key: LaneKey): Promise<BucketLane | undefined> {
    const read = (): Promise<BucketLane | undefined> =>
      this.useIndex((db) => getBucketLane(db, key))
    const part = this.lanes?.get(key) ?? (await read())
    if (part !== undefined || this.lanes !== undefined || this.rebuilt.has('summaries')) return part
    // Only lanes known to be here are looked for: the index has lost its record of this one.
    this.rebuilt.add('summaries')
    await this.load()
    return read()
  }

  /** The lane's entries of each segment. A segment whose index is damaged is indexed again. */
  private async tablesOf(key: LaneKey, numbers: readonly number[]): Promise<FrameTable[][]> {
    return this.useIndex(async (db) => {
      const found = await getLane(db, numbers, key)
      for (const [i, number] of numbers.entries()) {
        if (found[i] !== undefined || this.rebuilt.has(number)) continue
        this.rebuilt.add(number)
        await this.recover(db, number)
        ;[found[i]] = await getLane(db, [number], key)
      }
      return found.map((tables) => tables ?? [])
    })
  }

  /** All that the index knows of a finished segment; indexed again where its records are damaged. */
  private async entriesOf(number: number): Promise<FramePlace[]> {
    const lanes = await this.useIndex(async (db) => {
      const summary = this.segments.get(number)
      const found = summary === undefined ? [] : await getSegmentLanes(db, number, summary)
      if (found !== undefined) return found
      const recovered = await this.recover(db, number)
      return recovered === undefined ? [] : ((await getSegmentLanes(db, number, recovered)) ?? [])
    })
    return lanes.flatMap(({ lane, table }) =>
      Array.from({ length: table.length }, (_, index) => {
        return { lane, location: this.locate(number, table, index) }
      }),
    )
  }

  /** CRCs of the frames that can be read of a segment, by offset. */
  private async crcsIn(
    number: number,
    entries: readonly FramePlace[],
    pace: Pace,
  ): Promise<Map<number, number>> {
    const crcs = new Map<number, number>()
    try {
      await this.options.files.use(this.fileOf(number), (fd) =>
        scanSegment(fd, ({ offset, frame }) => crcs.set(offset, frame.crc), pace),
      )
    } catch (error) {
      if (!isErrorCode(error, 'ENOENT', 'EIO')) throw error
      // The disk cannot read a part of it: one by one, then, what it still can.
      for (const { location } of entries) {
        const record = await this.read(location)
        if (typeof record !== 'string') crcs.set(location.offset, record.frame.crc)
        await pace(location.bytes)
      }
    }
    return crcs
  }

  private async recover(db: IndexDatabase, number: number): Promise<SegmentSummary | undefined> {
    const summary = await recoverSegment(db, this.fileOf(number), number, this.startMs)
    if (summary === undefined) this.segments.delete(number)
    else this.segments.set(number, summary)
    if (this.lanes === undefined) await dropBucketSummary(db)
    return summary
  }

  private collect(
    into: Location[],
    segment: number,
    table: FrameTable,
    index: number,
    search: Search,
  ): void {
    const sequence = table.sequence(index)
    if (sequence < search.fromSequence || sequence > search.toSequence) return
    if (search.sequences?.has(sequence) === false) return
    if (table.firstUs(index) >= search.toUs || table.lastUs(index) < search.fromUs) return
    if (search.dataOnly === true && table.kind(index) !== 'data') return
    if (this.damage.size > 0 && this.damage.has(`${segment}:${table.offset(index)}`)) return
    into.push(this.locate(segment, table, index))
  }

  private locate(segment: number, table: FrameTable, index: number): Location {
    return {
      bucket: this,
      segment,
      offset: table.offset(index),
      bytes: table.bytes(index),
      crc: table.crc(index),
      sequence: table.sequence(index),
      firstUs: table.firstUs(index),
      count: table.kind(index) === 'data' ? table.count(index) : 0,
    }
  }

  private async loadFrom(db: IndexDatabase): Promise<LoadedBucket> {
    const loaded = await loadBucket(db, this.directory, this.startMs)
    this.segments.clear()
    for (const [number, summary] of loaded.segments) this.segments.set(number, summary)
    for (const note of loaded.damage) this.damage.set(`${note.segment}:${note.offset}`, note)
    this.lastNumber = loaded.lastNumber
    return loaded
  }

  /** Puts what is on the disk into an index that had to be thrown away. */
  private async refillIndex(db: IndexDatabase): Promise<void> {
    await putDamage(db, this.damage.values())
    if (this.lanes === undefined) {
      await this.loadFrom(db)
      return
    }
    // Warm: what the lanes hold is in memory, and segments without an index follow by themselves.
    for (const number of this.segments.keys()) {
      await recoverSegment(db, this.fileOf(number), number, this.startMs)
    }
  }

  private fileOf(segment: number): string {
    return path.join(this.directory, segmentName(segment))
  }
}
