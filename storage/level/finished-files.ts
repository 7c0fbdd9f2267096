// The files of a bucket that are written no more, segments and block files, and the index over them:
// finding frames, reading them, checking whole files, and indexing again what the index has lost.
import path from 'node:path'
import type { LaneKey, Schema, SchemaId } from '../../mesh/index.ts'
import type { StoredBlock, StoredFrame } from '../frame-store.ts'
import type { BlockCache } from './blocks/block-cache.ts'
import { BlockFiles, mayPass, type BlockPlace } from './blocks/block-files.ts'
import { getAllBlocks, getBlocks, putBlocks, type BlockEntry } from './blocks/block-index.ts'
import { recoverBlocks } from './blocks/block-recovery.ts'
import type { CompactionResult } from './blocks/compaction.ts'
import { fileName } from './bucket-files.ts'
import { isErrorCode, readFully } from './disk.ts'
import type { FrameTable } from './frame-table.ts'
import type { HandlePool } from './handle-pool.ts'
import { BucketIndex } from './index-database.ts'
import type { BucketLane } from './lane-state.ts'
import {
  passes,
  placeIn,
  type Found,
  type FramePlace,
  type Location,
  type Search,
} from './location.ts'
import { readRecord, RECORD_HEADER_BYTES, scanSegment, type Pace } from './record.ts'
import type { IndexDatabase } from './records.ts'
import { loadBucket, recoverSegment, type LoadedBucket } from './recovery.ts'
import {
  dropBucketSummary,
  dropFile,
  getBucketLane,
  getLane,
  getSegmentLanes,
  putBucket,
  putDamage,
  putSegment,
  putSummary,
  shrink,
  type DamageNote,
} from './segment-index.ts'
import type { FileSummary, MemorySegment } from './segment.ts'

export interface FinishedFilesOptions {
  readonly directory: string
  /** Of the bucket. */
  readonly startMs: number
  readonly files: HandlePool<number>
  readonly indexes: HandlePool<IndexDatabase>
  readonly cache: BlockCache
  readonly schemaOf: (id: SchemaId) => Schema | undefined
}

/** Segments whose index records are read at once. */
const SEGMENTS_PER_READ = 16

export class FinishedFiles {
  /** What the index knows of each, by number. */
  private readonly known = new Map<number, FileSummary>()
  private readonly options: FinishedFilesOptions
  private readonly index: BucketIndex
  private readonly blockFiles: BlockFiles
  private readonly damage = new Map<string, DamageNote>()
  /** What has been rebuilt once in this life is not rebuilt again at the next miss. */
  private readonly rebuilt = new Set<number>()
  private isRemoved = false
  /** How many files were dropped in this life. */
  drops = 0

  constructor(options: FinishedFilesOptions) {
    this.options = options
    this.blockFiles = new BlockFiles(options)
    const directory = path.join(options.directory, 'index')
    this.index = new BucketIndex(options.indexes, directory, (db) => this.refill(db))
  }

  /** Finds out what the bucket holds, indexing again where the index does not add up. */
  load(): Promise<LoadedBucket> {
    return this.use(async (db) => {
      const { directory, startMs } = this.options
      const loaded = await loadBucket(db, directory, startMs)
      this.known.clear()
      for (const [number, summary] of loaded.files) this.known.set(number, summary)
      for (const note of loaded.damage) this.damage.set(damageKey(note), note)
      return loaded
    })
  }

  summaries(): ReadonlyMap<number, FileSummary> {
    return this.known
  }

  has(number: number): boolean {
    return this.known.has(number)
  }

  damageNotes(): Iterable<DamageNote> {
    return this.damage.values()
  }

  /** What the bucket held of a lane when it was last sealed. */
  lane(key: LaneKey): Promise<BucketLane | undefined> {
    return this.use((db) => getBucketLane(db, key))
  }

  /** Adds to `found` the lane's frames that pass, of the files numbered, until there are as many as wanted. */
  async find(
    found: Found,
    key: LaneKey,
    numbers: readonly number[],
    search: Search,
    wanted: number,
  ): Promise<void> {
    const { locations } = found
    const mayHold = numbers.filter((number) => {
      const summary = this.known.get(number)
      return summary && summary.firstUs < search.toUs && summary.lastUs >= search.fromUs
    })
    const segments = mayHold.filter((number) => this.known.get(number)?.kind === 'segment')
    for (let i = 0; i < segments.length && locations.length < wanted; i += SEGMENTS_PER_READ) {
      const some = segments.slice(i, i + SEGMENTS_PER_READ)
      for (const [j, tables] of (await this.tablesOf(key, some)).entries()) {
        for (const table of tables.toReversed()) {
          for (let index = table.length - 1; index >= 0; index--) {
            this.collect(locations, some[j]!, table, index, search)
          }
        }
      }
    }
    for (const file of mayHold) {
      if (locations.length >= wanted || this.known.get(file)?.kind !== 'blocks') continue
      await this.findInBlocks(found, key, file, search)
    }
  }

  /** Adds the frame if it passes, and is not known to be damaged. */
  collect(
    into: Location[],
    segment: number,
    table: FrameTable,
    index: number,
    search: Search,
  ): void {
    if (!passes(table.facts(index), search)) return
    if (this.damage.size > 0 && this.isDamaged(segment, table.offset(index))) return
    into.push(placeIn(segment, table, index))
  }

  /** Reads and checks one frame; a string says why it is damaged, undefined that its schema is missing. */
  async read(location: Location): Promise<StoredFrame | string | undefined> {
    const { block, sequence, file, offset, bytes } = location
    if (block !== undefined) return this.blockFiles.frame(block, sequence)
    const buffer = Buffer.allocUnsafe(RECORD_HEADER_BYTES + bytes)
    try {
      return await this.options.files.use(this.pathOf(file), async (fd) => {
        const got = await readFully(fd, buffer, buffer.length, offset)
        return got < buffer.length ? 'short' : readRecord(buffer, offset)
      })
    } catch (error) {
      // Anything else (too many open files, no memory) says nothing about the frame.
      if (!isErrorCode(error, 'ENOENT', 'EIO')) throw error
      return (error as Error).message
    }
  }

  /** Frames of a block that are kept as columns; a string says why they cannot be had. */
  stored(place: BlockPlace, sequences: ReadonlySet<number>): Promise<StoredBlock | string> {
    return this.blockFiles.stored(place, sequences)
  }

  /** Remembers, over restarts too, that nothing readable stands there. */
  async noteDamage(notes: readonly DamageNote[]): Promise<void> {
    for (const note of notes) this.damage.set(damageKey(note), note)
    await this.use(async (db) => {
      await putDamage(db, notes)
      // The summaries count the frames in; opening again goes through the segments' records.
      await dropBucketSummary(db)
    })
  }

  /**
   * Reads a file from end to end, and returns what the index knows to be in it and cannot be read
   * there.
   */
  async verify(
    number: number,
    pace: Pace,
  ): Promise<{ places: FramePlace[]; blocks: BlockPlace[] }> {
    const kind = this.known.get(number)?.kind
    if (kind === 'segment') return { places: await this.verifySegment(number, pace), blocks: [] }
    return { places: [], blocks: kind === undefined ? [] : await this.verifyBlocks(number, pace) }
  }

  /** Takes in a segment that is full. */
  async addSegment(segment: MemorySegment): Promise<void> {
    await this.use((db) => putSegment(db, segment))
    this.known.set(segment.number, segment.summary())
  }

  /** Takes in a block file. */
  async addBlocks(number: number, { summary, lanes }: CompactionResult): Promise<void> {
    await this.use(async (db) => {
      // The summaries that are there sum up other files.
      await dropBucketSummary(db)
      await putBlocks(db, number, lanes)
      await putSummary(db, number, summary)
    })
    this.known.set(number, summary)
  }

  /** Forgets a file, and closes it. */
  async drop(number: number): Promise<void> {
    const file = this.pathOf(number)
    this.drops += 1
    this.known.delete(number)
    await this.use((db) => dropFile(db, number))
    await this.options.files.close(file)
  }

  /** Makes the index as small as what it says. */
  async shrink(): Promise<void> {
    await this.use((db) => shrink(db))
  }

  /** Writes what the bucket holds of each lane, so that the next opening reads nothing else. */
  async seal(lanes: ReadonlyMap<LaneKey, BucketLane>): Promise<void> {
    const sums = [...this.known].map(([number, { bytes }]) => [number, bytes] as const)
    await this.use((db) => putBucket(db, lanes, sums))
  }

  /** Closes the index; it opens again when next used. */
  close(): Promise<void> {
    return this.index.close()
  }

  /** Closes all, for ever: the bucket is about to go. */
  async remove(): Promise<void> {
    this.isRemoved = true
    await this.index.close()
    this.options.cache.forget(this.options.directory)
    for (const number of this.known.keys()) await this.options.files.close(this.pathOf(number))
  }

  pathOf(number: number): string {
    const kind = this.known.get(number)?.kind ?? 'segment'
    return path.join(this.options.directory, fileName(kind, number))
  }

  private async findInBlocks(
    { locations, unreadable }: Found,
    lane: LaneKey,
    file: number,
    search: Search,
  ): Promise<void> {
    for (const entry of await this.blocksOf(lane, file)) {
      const { offset } = entry
      if (!mayPass(entry, search) || this.isDamaged(file, offset)) continue
      const place = { file, lane, entry }
      const block = await this.blockFiles.block(place)
      if (typeof block === 'string') {
        unreadable.push({ place, reason: block })
        continue
      }
      for (const frame of block.frames) {
        if (!passes(frame, search)) continue
        const { sequence, firstUs, bytes, crc, kind, verbatim } = frame
        const count = kind === 'data' ? frame.count : 0
        const at = { file, offset, block: place, inColumns: verbatim === undefined }
        locations.push({ ...at, sequence, firstUs, bytes, crc, count })
      }
    }
  }

  private async blocksOf(lane: LaneKey, file: number): Promise<BlockEntry[]> {
    const entries = await this.use((db) => getBlocks(db, file, lane))
    if (entries !== undefined || this.rebuilt.has(file)) return entries ?? []
    this.rebuilt.add(file)
    return (await this.reindexBlocks(file)).get(lane) ?? []
  }

  /** The lane's entries of each segment. A segment whose index is damaged is indexed again. */
  private async tablesOf(key: LaneKey, numbers: readonly number[]): Promise<FrameTable[][]> {
    return this.use(async (db) => {
      const found = await getLane(db, numbers, key)
      for (const [i, number] of numbers.entries()) {
        if (found[i] !== undefined || this.rebuilt.has(number)) continue
        this.rebuilt.add(number)
        await this.reindex(db, number)
        ;[found[i]] = await getLane(db, [number], key)
      }
      return found.map((tables) => tables ?? [])
    })
  }

  private async verifySegment(number: number, pace: Pace): Promise<FramePlace[]> {
    const entries = await this.entriesOf(number)
    const crcs = await this.crcsIn(number, pace)
    return entries.filter(({ location: { offset, crc } }) => {
      return crcs.get(offset) !== crc && !this.isDamaged(number, offset)
    })
  }

  private async verifyBlocks(file: number, pace: Pace): Promise<BlockPlace[]> {
    const known = await this.use((db) => getAllBlocks(db, file))
    const lanes = known ?? (await this.reindexBlocks(file))
    const readable = await this.blockFiles.readable(file, pace)
    return [...lanes].flatMap(([lane, entries]) =>
      entries
        .filter(({ offset }) => !readable.has(offset) && !this.isDamaged(file, offset))
        .map((entry) => ({ file, lane, entry })),
    )
  }

  /** All that the index knows of a segment; indexed again where its records are damaged. */
  private async entriesOf(number: number): Promise<FramePlace[]> {
    const lanes = await this.use(async (db) => {
      const summary = this.known.get(number)
      const found = summary === undefined ? [] : await getSegmentLanes(db, number, summary)
      if (found !== undefined) return found
      const again = await this.reindex(db, number)
      return again === undefined ? [] : ((await getSegmentLanes(db, number, again)) ?? [])
    })
    return lanes.flatMap(({ lane, table }) =>
      Array.from({ length: table.length }, (_, index) => {
        return { lane, location: placeIn(number, table, index) }
      }),
    )
  }

  /** CRCs of the frames that can be read of a segment, by offset. */
  private async crcsIn(number: number, pace: Pace): Promise<Map<number, number>> {
    const crcs = new Map<number, number>()
    try {
      await this.options.files.use(this.pathOf(number), (fd) =>
        scanSegment(fd, ({ offset, frame }) => crcs.set(offset, frame.crc), pace),
      )
    } catch (error) {
      if (!isErrorCode(error, 'ENOENT')) throw error
    }
    return crcs
  }

  private reindexBlocks(file: number): Promise<Map<LaneKey, BlockEntry[]>> {
    return this.use(async (db) => {
      await this.reindex(db, file)
      return (await getAllBlocks(db, file)) ?? new Map<LaneKey, BlockEntry[]>()
    })
  }

  private async reindex(db: IndexDatabase, number: number): Promise<FileSummary | undefined> {
    // Dropped meanwhile.
    if (!this.known.has(number)) return undefined
    const summary = await this.recover(db, number)
    if (summary === undefined) this.known.delete(number)
    else this.known.set(number, summary)
    await dropBucketSummary(db)
    return summary
  }

  private recover(db: IndexDatabase, number: number): Promise<FileSummary | undefined> {
    const file = this.pathOf(number)
    if (this.known.get(number)?.kind === 'blocks') return recoverBlocks(db, file, number)
    return recoverSegment(db, file, number, this.options.startMs)
  }

  /** Puts what is known into an index that had to be thrown away; lanes follow when it is sealed. */
  private async refill(db: IndexDatabase): Promise<void> {
    await putDamage(db, this.damage.values())
    for (const number of this.known.keys()) {
      try {
        await this.reindex(db, number)
      } catch (error) {
        if (!isErrorCode(error, 'ENOENT')) throw error
        this.known.delete(number)
      }
    }
  }

  /** The index, unless it would be made anew in place of one that was removed. */
  private use<R>(work: (db: IndexDatabase) => Promise<R>): Promise<R> {
    const { directory } = this.options
    if (this.isRemoved) return Promise.reject(new Error(`${directory} was removed`))
    return this.index.use(work)
  }

  private isDamaged(file: number, offset: number): boolean {
    return this.damage.has(damageKey({ segment: file, offset }))
  }
}

function damageKey({ segment, offset }: Pick<DamageNote, 'segment' | 'offset'>): string {
  return `${segment}:${offset}`
}
