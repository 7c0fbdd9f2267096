// Where a storage peer keeps frames. The store knows names, times and checksums; it never decodes a
// body, but what it has compacted itself. Every implementation passes storage/conformance/. The writer above it (writer.ts) drops
// duplicates and groups commits; readers (query/, repair) only ever see frames whose CRC holds.
import type { Frame, IntervalSet, LaneKey, Lane, Sample } from '../mesh/index.ts'
import type { FieldPartial } from './query/aggregate.ts'

export interface StoredFrame {
  readonly frame: Frame
  /** When a store of this mesh first took the frame, µs since the Unix epoch; repair carries it along. */
  readonly ingestUs: number
}

/** What this store knows of one (source, stream, epoch). Live: it changes as frames are appended. */
export interface LaneRecord extends Lane {
  readonly key: LaneKey
  /** Sequences whose frames are on this disk, synced: data, skip and end frames alike. */
  readonly held: IntervalSet
  /** Sequences that held skip frames list as dropped by the publisher. A held frame beats a skip. */
  readonly skipped: IntervalSet
  /** Sequences that retention removed, here or wherever they were; none of them is held. */
  readonly trimmed: IntervalSet
  /** The store's version when any of this last changed. */
  readonly changedAt: number
  /** Sequence of the end frame, when it is or was held: nothing follows it. */
  readonly ended: number | undefined
  /** Newest ingest time of a held frame. */
  readonly lastIngestUs: number
  /** Samples in held data frames. */
  readonly sampleCount: number
}

/** What is gone of a lane for good, and what only frames that are gone said of it. */
export interface Gone {
  readonly trimmed: IntervalSet
  readonly skipped: IntervalSet
  /** Sequence of its end frame, 0 when none was seen. */
  readonly ended: number
  /** Newest ingest time of its frames, µs since the Unix epoch. */
  readonly lastIngestUs: number
}

export interface FrameRange {
  readonly stream: string
  readonly source: string
  /** Frames whose event times meet [fromUs, toUs), µs since the Unix epoch. */
  readonly fromUs: number
  readonly toUs: number
}

/** Data frames of one lane that are kept together as columns. */
export interface StoredBlock extends Lane {
  /** Those that a range asks for. */
  readonly frames: readonly BlockFrameFacts[]
  /** Least and greatest event time of those, µs since the Unix epoch. */
  readonly firstUs: number
  readonly lastUs: number
  /** The samples of the `i`-th of them, in order; a string says why they cannot be had. */
  samples(i: number): readonly Sample[] | string
  /**
   * All their samples summed up in cells of event time, each within one bucket of `everyUs`; undefined
   * when the block does not know that. Yours to change.
   */
  cells(everyUs: number): readonly Cell[] | undefined
}

export interface BlockFrameFacts {
  readonly sequence: number
  /** Samples. */
  readonly count: number
  readonly firstUs: number
  readonly lastUs: number
  /** Length of the frame as it was received, roughly. */
  readonly bytes: number
}

/** Samples with event times in [timeUs, timeUs + stepUs), summed up. */
export interface Cell {
  readonly timeUs: number
  readonly stepUs: number
  /** Samples in the cell. */
  readonly samples: number
  /** As `downsample` would have them of these samples, without first and last. */
  readonly fields: Map<string, FieldPartial>
}

/** A frame on this disk that can no longer be read: loss, to be fetched from another store. */
export interface DamagedFrame extends Lane {
  readonly sequence: number
  readonly reason: string
}

export interface FrameStore extends AsyncDisposable {
  /**
   * Appends frames as one batch and resolves after its fdatasync. Names must be new to this store.
   * After a rejection nothing of the batch is acknowledged and the store refuses writes until
   * reopened. Batches may be appended while others are synced; they settle in order. `onWritten` is
   * called in between, when the operating system has all of the batch and the disk may not: not yet
   * held, and gone if the machine stops or the sync fails. `isUrgent`: nothing may hold that up.
   * @throws StorageError STORE_DISK_FULL, STORE_WRITE_FAILED, STORE_CLOSED.
   */
  append(frames: readonly StoredFrame[], onWritten?: () => void, isUrgent?: boolean): Promise<void>
  lane(key: LaneKey): LaneRecord | undefined
  lanes(): Iterable<LaneRecord>
  /** The lanes of one source's stream. */
  lanesOf(stream: string, source: string): Iterable<LaneRecord>
  /** CRC-32 of a held frame, for telling a duplicate from a conflict. */
  crcOf(key: LaneKey, sequence: number): Promise<number | undefined>
  /** Held frames of one lane with sequence in [from, to], in order, CRC checked, damaged ones left out and listed. */
  read(key: LaneKey, from: number, to: number): AsyncIterable<StoredFrame>
  /**
   * Data frames of one source and stream that meet the range, by first event time, CRC checked: each
   * by itself, or in a block with its neighbours.
   */
  scan(range: FrameRange): AsyncIterable<StoredFrame | StoredBlock>
  /**
   * Takes over from another store what is gone of a lane. What is held here stays held. On disk when
   * it resolves. @throws StorageError STORE_CLOSED, or the system's error.
   */
  learnGone(lane: Lane, gone: Gone): Promise<void>
  /** Grows with every change of what is held; equal versions mean equal digests. */
  readonly version: number
  damaged(): readonly DamagedFrame[]
  /** Bytes on disk, roughly, and of frames held. */
  stats(): Promise<{ diskBytes: number; frames: number; samples: number; buckets: number }>
  /** Seals what it knows, so that the next open need not scan. */
  close(): Promise<void>
}

/** What the writer needs of a store beyond FrameStore. */
export interface WritableStore extends FrameStore {
  /** CRCs of those of the sequences that are held. */
  crcsOf(key: LaneKey, sequences: readonly number[]): Promise<ReadonlyMap<number, number>>
  /** After a failed append: checks what is there and takes appends again. @throws StorageError otherwise. */
  reopen(): Promise<void>
}
