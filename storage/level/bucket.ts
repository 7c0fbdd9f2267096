// One bucket of ingest time: a directory of segment and block files and the index over them.
//
//   <bucketStartMs>/000001.seg  000002.seg  …  index/
//
//   cold ──first append──► warm ──append──► … segment full: its entries go to the index …
//     ▲                                                      │
//     └──── cool: last segment to the index, lane summaries ◄┘
//
// Warm: what the bucket holds of each lane is in memory, and the newest segments' entries too. Cold:
// all of it is in the index (finished-files.ts). A bucket whose index does not sum up exactly the
// files that are there is rebuilt from them when opened (recovery.ts).
import fs from 'node:fs'
import { IntervalSet, syncDirectory, type LaneKey } from '../../mesh/index.ts'
import type { DamagedFrame, StoredBlock, StoredFrame } from '../frame-store.ts'
import type { Appender } from './appender.ts'
import type { BlockPlace } from './blocks/block-files.ts'
import type { CompactionResult } from './blocks/compaction.ts'
import { fileName, UNFINISHED_SUFFIX } from './bucket-files.ts'
import { FinishedFiles, type FinishedFilesOptions } from './finished-files.ts'
import type { BucketLane } from './lane-state.ts'
import { placeIn, type Found, type FramePlace, type Location, type Search } from './location.ts'
import { scanSegment, type Pace } from './record.ts'
import type { LoadedBucket } from './recovery.ts'
import type { DamageNote } from './segment-index.ts'
import { MemorySegment } from './segment.ts'

export interface BucketOptions extends FinishedFilesOptions {
  /** What lanes call it by, in this life of the store. */
  readonly id: number
  /** Retention class of everything in it. */
  readonly className: string
  /** A segment takes no further batch beyond either bound. */
  readonly segmentBytesMax: number
  readonly segmentFramesMax: number
  readonly appender: Appender
}

/** Of the name of a bucket's directory while it is being removed. */
export const REMOVED_SUFFIX = '.removed'
/** Segments that may wait for their index before an append waits too: 64 MiB of file each. */
const WAITING_MAX = 3
/** Segments compacted together are in memory together. */
const COMPACTED_BYTES_MAX = 192 << 20

export class Bucket {
  readonly id: number
  readonly className: string
  readonly startMs: number
  readonly directory: string
  /** What the bucket holds of each lane, while warm. */
  lanes: Map<LaneKey, BucketLane> | undefined
  /** Bytes of its files when last counted. */
  fileBytes: number | undefined
  /** Whether it is to stay warm, whatever is written elsewhere. */
  isPinned = false
  /** When it was last written to, on the monotonic clock of the store. */
  writtenMs = -Infinity
  /** How many batches came to it in this life of the store. */
  writes = 0
  /** Retention took it: nothing of it is to be found any more. */
  isRemoved = false
  private readonly options: BucketOptions
  private readonly finished: FinishedFiles
  /** Segments the index does not know yet, oldest first; the last may be the one being written. */
  private readonly waiting: MemorySegment[] = []
  private active: MemorySegment | undefined
  private lastNumber = 0
  private indexing: Promise<void> = Promise.resolve()
  private indexFailure: unknown
  private isReloaded = false
  private readonly losses: DamagedFrame[] = []

  constructor(options: BucketOptions) {
    this.options = options
    this.id = options.id
    this.className = options.className
    this.startMs = options.startMs
    this.directory = options.directory
    this.finished = new FinishedFiles(options)
  }

  /** Reads what the bucket holds, rebuilding the index where it does not add up. It is cold then. */
  async load(): Promise<LoadedBucket> {
    const loaded = await this.finished.load()
    this.lastNumber = loaded.lastNumber
    this.losses.push(...loaded.lost)
    return loaded
  }

  /** Reads the lane summaries back in, so that frames can be added. Makes the directory when it is new. */
  async warm(): Promise<void> {
    this.lanes ??= (await this.load()).lanes
  }

  /** Frames that were found to be gone since last asked; whoever counts them as held is to know. */
  takeLosses(): DamagedFrame[] {
    return this.losses.splice(0)
  }

  /** Whether the next batch goes to another segment: then what was written to this one must be synced first. */
  get isSegmentFull(): boolean {
    const { segmentBytesMax, segmentFramesMax } = this.options
    const { writtenBytes = 0, writtenFrames = 0 } = this.active ?? {}
    return writtenBytes >= segmentBytesMax || writtenFrames >= segmentFramesMax
  }

  /** Writes a batch; it counts once it is synced and noted in the segment that is returned. */
  async write(frames: readonly StoredFrame[]): Promise<MemorySegment> {
    if (this.indexFailure !== undefined) throw this.indexFailure
    if (this.isSegmentFull) this.finish()
    if (this.waiting.length > WAITING_MAX) await this.settled()
    const segment = this.active ?? (await this.startSegment())
    await segment.write(frames, this.options.appender)
    return segment
  }

  /** Frames of a lane that pass, newest file first; a name may occur twice after damage. */
  async find(key: LaneKey, search: Search, wanted = Infinity): Promise<Found> {
    const found: Found = { locations: [], unreadable: [] }
    try {
      for (const segment of this.waiting.toReversed()) {
        for (const index of segment.entriesOf(key)) {
          this.finished.collect(found.locations, segment.number, segment.table, index, search)
        }
      }
      const inMemory = found.locations.length
      if (inMemory >= wanted) return found
      for (let drops = -1; drops !== this.finished.drops;) {
        // Once more when a file was compacted meanwhile: what it held is elsewhere now.
        drops = this.finished.drops
        found.locations.length = inMemory
        found.unreadable.length = 0
        const files = numbersOf((await this.partOf(key))?.segments)
        await this.finished.find(found, key, files, search, wanted)
      }
    } catch (error) {
      if (!this.isRemoved) throw error
      found.locations.length = 0
    }
    return found
  }

  /** Reads and checks one frame; a string says why it is damaged, undefined that its schema is missing. */
  read(location: Location): Promise<StoredFrame | string | undefined> {
    return this.finished.read(location)
  }

  /** Frames of a block that are kept as columns; a string says why they cannot be had. */
  stored(place: BlockPlace, sequences: ReadonlySet<number>): Promise<StoredBlock | string> {
    return this.finished.stored(place, sequences)
  }

  /** Whether a file is still there: one that was compacted is not, and its frames are elsewhere. */
  hasFile(number: number): boolean {
    return this.finished.has(number) || this.waiting.some((segment) => segment.number === number)
  }

  /** Remembers, over restarts too, that nothing readable stands there. */
  noteDamage(notes: readonly DamageNote[]): Promise<void> {
    return this.finished.noteDamage(notes)
  }

  /** What is known to be damaged. */
  damageNotes(): Iterable<DamageNote> {
    return this.finished.damageNotes()
  }

  /** Files that are written no more, by number. */
  finishedFiles(): Iterable<number> {
    return this.finished.summaries().keys()
  }

  /** Reads a finished file from end to end, and returns what cannot be read of it. */
  verify(number: number, pace: Pace): Promise<{ places: FramePlace[]; blocks: BlockPlace[] }> {
    return this.finished.verify(number, pace)
  }

  /** How many segments there are that no block file stands for, the one being written included. */
  get segments(): number {
    let segments = this.waiting.length
    for (const { kind } of this.finished.summaries().values()) if (kind === 'segment') segments += 1
    return segments
  }

  /** Finished segments that no block file stands for yet, in groups to be compacted together. */
  uncompacted(): number[][] {
    const groups: number[][] = []
    let bytes = Infinity
    for (const [number, file] of this.finished.summaries()) {
      if (file.kind !== 'segment') continue
      if (bytes + file.bytes > COMPACTED_BYTES_MAX) {
        groups.push([])
        bytes = 0
      }
      groups.at(-1)!.push(number)
      bytes += file.bytes
    }
    return groups
  }

  /** The number of a block file about to be made, and where it is to be made. */
  nextBlockFile(): { number: number; unfinished: string } {
    this.lastNumber += 1
    const file = this.blockFile(this.lastNumber)
    return { number: this.lastNumber, unfinished: `${file}${UNFINISHED_SUFFIX}` }
  }

  /**
   * Lets a finished block file take the place of segments, which are removed. From its new name on it
   * counts, whatever happens. While warm only.
   */
  async adoptBlocks(
    number: number,
    segments: readonly number[],
    made: CompactionResult,
  ): Promise<void> {
    const file = this.blockFile(number)
    await fs.promises.rename(`${file}${UNFINISHED_SUFFIX}`, file)
    await syncDirectory(this.directory)
    await this.finished.addBlocks(number, made)
    const dropped = new IntervalSet()
    for (const segment of segments) dropped.add(segment)
    for (const [key, part] of this.lanes!) {
      part.segments = part.segments.minus(dropped)
      if (made.lanes.has(key)) part.segments.add(number)
    }
    for (const segment of segments) {
      const path = this.finished.pathOf(segment)
      await this.finished.drop(segment)
      await fs.promises.unlink(path)
    }
    await this.finished.shrink()
  }

  /** Writes everything to the index. Not while anything is appended. */
  async seal(): Promise<void> {
    if (this.lanes === undefined) return
    this.finish()
    await this.settled()
    await this.finished.seal(this.lanes)
  }

  /**
   * After a failed write: cuts off what was not acknowledged, and reads all segments without an index
   * again. Returns the names that are not there any more.
   * @throws the system's error when the disk still refuses.
   */
  async recheck(): Promise<FramePlace[]> {
    await this.settled().catch(() => undefined)
    this.indexFailure = undefined
    await this.finished.close()
    this.active?.cutToSynced()
    const unindexed = this.waiting.slice()
    this.finish()
    const lost: FramePlace[] = []
    for (const segment of unindexed) {
      const present = new Set<number>()
      if (segment.table.length === 0) continue
      await this.options.files.use(this.finished.pathOf(segment.number), (fd) =>
        scanSegment(fd, ({ offset }) => present.add(offset)),
      )
      for (const { key } of segment.lanes) {
        for (const index of segment.entriesOf(key)) {
          if (present.has(segment.table.offset(index))) continue
          lost.push({ lane: key, location: placeIn(segment.number, segment.table, index) })
        }
      }
    }
    await this.settled()
    return lost
  }

  /**
   * Removes a cold bucket with all that is in it. It is renamed first, so that a stop in the middle
   * does not leave a part of it.
   */
  async remove(): Promise<void> {
    this.isRemoved = true
    const removed = `${this.directory}${REMOVED_SUFFIX}`
    await this.finished.remove()
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

  private async indexWaiting(): Promise<void> {
    for (;;) {
      const [segment] = this.waiting
      if (segment === undefined || segment === this.active) return
      await this.finished.addSegment(segment)
      this.waiting.shift()
    }
  }

  private async startSegment(): Promise<MemorySegment> {
    this.lastNumber += 1
    const file = this.finished.pathOf(this.lastNumber)
    const segment = MemorySegment.create(file, this.lastNumber, this.startMs)
    this.waiting.push(segment)
    this.active = segment
    // Before the first frame in it is acknowledged, the file's name must last.
    if (this.options.appender.syncs) await syncDirectory(this.directory)
    return segment
  }

  /** What the bucket holds of a lane that is known to be here. */
  private async partOf(key: LaneKey): Promise<BucketLane | undefined> {
    if (this.lanes !== undefined) return this.lanes.get(key)
    const part = await this.finished.lane(key)
    if (part !== undefined || this.isReloaded) return part
    // The index has lost its record of it.
    this.isReloaded = true
    await this.load()
    return this.finished.lane(key)
  }

  private blockFile(number: number): string {
    return `${this.directory}/${fileName('blocks', number)}`
  }
}

/** The numbers of the set, newest first. */
function numbersOf(set: IntervalSet | undefined): number[] {
  const numbers: number[] = []
  for (const [from, to] of set ?? []) {
    for (let number = from; number <= to; number++) numbers.push(number)
  }
  return numbers.reverse()
}
