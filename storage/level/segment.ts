// A segment whose index is still in memory: the one being appended to, or one that waits for its
// index to be written (level/bucket.ts). A segment is written by one life of a store only; after any
// stop the next frames go to a new file, so nothing is ever appended behind a torn end.
import fs from 'node:fs'
import type { Frame, LaneKey } from '../../mesh/index.ts'
import type { StoredFrame } from '../frame-store.ts'
import type { Appender } from './appender.ts'
import type { BucketFile } from './bucket-files.ts'
import { FrameTable } from './frame-table.ts'
import type { BucketLane } from './lane-state.ts'
import {
  RECORD_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  writeRecord,
  writeSegmentHeader,
} from './record.ts'

/** What the index says of a finished file. */
export interface FileSummary {
  readonly kind: BucketFile['kind']
  readonly bytes: number
  readonly frames: number
  readonly lanes: number
  readonly firstUs: number
  readonly lastUs: number
}

/** Smallest write buffer; it grows to the largest batch. */
const WRITE_BUFFER_BYTES = 1 << 16

export class MemorySegment {
  readonly number: number
  readonly table: FrameTable
  /** In order of first appearance; `heads` has for each the index + 1 of its newest entry. */
  readonly lanes: BucketLane[] = []
  readonly counts: number[] = []
  readonly lastIngestUs: number[] = []
  firstUs = Infinity
  lastUs = -Infinity
  /** End of what is synced and known. */
  bytes: number
  /** End of what is written, and how many frames that is: synced and known soon, or cut off. */
  writtenBytes = 0
  writtenFrames = 0
  private readonly heads: number[] = []
  private slots: Map<LaneKey, number> | undefined
  private fd: number
  private buffer: Buffer

  private constructor(number: number, fd: number) {
    this.number = number
    this.fd = fd
    this.bytes = 0
    this.table = new FrameTable()
    this.buffer = Buffer.alloc(fd < 0 ? 0 : WRITE_BUFFER_BYTES)
  }

  /** A new file, its header not yet written: that goes out with the first batch. */
  static create(file: string, number: number, bucketStartMs: number): MemorySegment {
    const segment = new MemorySegment(number, fs.openSync(file, 'wx'))
    writeSegmentHeader(segment.buffer, bucketStartMs)
    return segment
  }

  /** A file another life of the store left without an index; its frames are added with `note`. */
  static recovered(number: number): MemorySegment {
    return new MemorySegment(number, -1)
  }

  /** Appends the batch behind what is written. Nothing of it counts until it is synced and noted. */
  async write(frames: readonly StoredFrame[], appender: Appender): Promise<void> {
    const headerBytes = this.writtenBytes === 0 ? SEGMENT_HEADER_BYTES : 0
    let length = headerBytes
    for (const { frame } of frames) length += RECORD_HEADER_BYTES + frame.bytes.length
    this.reserve(length)
    let at = headerBytes
    for (const { frame, ingestUs } of frames) {
      writeRecord(this.buffer, at, this.writtenBytes + at, frame, ingestUs)
      at += RECORD_HEADER_BYTES + frame.bytes.length
    }
    await appender.write(this.fd, this.buffer, length, this.writtenBytes)
    this.writtenBytes += length
    this.writtenFrames += frames.length
  }

  /** Syncs all that was written before; `length` bytes of it are new. */
  sync(appender: Appender, length: number, mayBeHere: boolean): Promise<void> {
    return appender.sync(this.fd, length, mayBeHere)
  }

  /** Notes a frame at the end of the segment, and where the next one will stand. */
  note(lane: BucketLane, frame: Frame, ingestUs: number, offset: number): void {
    let slot = lane.slot
    if (lane.slotSegment !== this.number) {
      slot = this.lanes.push(lane) - 1
      this.heads.push(0)
      this.counts.push(0)
      this.lastIngestUs.push(0)
      lane.slot = slot
      lane.slotSegment = this.number
      this.slots?.set(lane.key, slot)
    }
    this.heads[slot] = this.table.add(frame, offset, this.heads[slot]!) + 1
    this.counts[slot] = this.counts[slot]! + 1
    if (ingestUs > this.lastIngestUs[slot]!) this.lastIngestUs[slot] = ingestUs
    if (frame.firstUs < this.firstUs) this.firstUs = frame.firstUs
    if (frame.lastUs > this.lastUs) this.lastUs = frame.lastUs
    this.bytes = offset + RECORD_HEADER_BYTES + frame.bytes.length
  }

  /** Where the first record of the next batch will stand. */
  get nextOffset(): number {
    return this.bytes === 0 ? SEGMENT_HEADER_BYTES : this.bytes
  }

  /** The entries of a lane, newest first, as indices into `table`. */
  *entriesOf(key: LaneKey): IterableIterator<number> {
    this.slots ??= new Map(this.lanes.map((lane, slot) => [lane.key, slot]))
    const slot = this.slots.get(key)
    if (slot !== undefined) yield* this.entriesAt(slot)
  }

  *entriesAt(slot: number): IterableIterator<number> {
    for (let next = this.heads[slot]!; next > 0; next = this.table.link(next - 1)) yield next - 1
  }

  summary(): FileSummary {
    const { bytes, firstUs, lastUs } = this
    return {
      kind: 'segment',
      bytes,
      frames: this.table.length,
      lanes: this.lanes.length,
      firstUs,
      lastUs,
    }
  }

  /** No more writes: the file is closed, the entries stay until the index has them. */
  finish(): void {
    if (this.fd >= 0) fs.closeSync(this.fd)
    this.fd = -1
    this.buffer = Buffer.alloc(0)
  }

  /** Cuts off what a failed write may have left behind, and makes the cut last. @throws the system's error. */
  cutToSynced(): void {
    if (this.fd < 0) return
    fs.ftruncateSync(this.fd, this.bytes)
    fs.fsyncSync(this.fd)
    this.writtenBytes = this.bytes
    this.writtenFrames = this.table.length
  }

  private reserve(length: number): void {
    if (length <= this.buffer.length) return
    const grown = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(length)))
    // The header of a new segment waits at the front of its first buffer.
    this.buffer.copy(grown, 0, 0, SEGMENT_HEADER_BYTES)
    this.buffer = grown
  }
}
