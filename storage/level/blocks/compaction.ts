// Rewrites finished segments of a bucket as one block file: the frames of each lane, which lie apart
// where they came in beside others, become columns one after another. Touches nothing that is there;
// what is made counts once its file has its name.
import fs from 'node:fs'
import path from 'node:path'
import {
  compileSchema,
  IntervalSet,
  type JsonSchema,
  type LaneKey,
  type SchemaId,
} from '../../../mesh/index.ts'
import type { StoredFrame } from '../../frame-store.ts'
import { blockFileHeader, blockRecord } from './block-file.ts'
import { blocksSummary, type BlockEntry } from './block-index.ts'
import { encodeBlock } from './block.ts'
import { fileName } from '../bucket-files.ts'
import { readRecord, RECORD_HEADER_BYTES, scanRecords, SEGMENT_HEADER_BYTES } from '../record.ts'
import type { FileSummary } from '../segment.ts'

export interface CompactionRequest {
  /** Of the bucket. */
  readonly directory: string
  readonly startMs: number
  /** Finished segments of it, by number. */
  readonly segments: readonly number[]
  /** The file to be written, beside the segments. */
  readonly file: string
  /** Every schema the store has; frames of others are kept as they are. */
  readonly schemas: readonly JsonSchema[]
}

/** Decoding a block to read one frame of it takes about a millisecond. */
const BLOCK_SAMPLES = 1024
const BLOCK_FRAME_BYTES = 256 << 10
/** Written and synced in pieces, so that no other sync waits long behind it. */
const SYNC_BYTES = 4 << 20

/** Where a frame is: which of the segments, and what of it, header included. */
interface Place {
  readonly segment: number
  readonly offset: number
  readonly bytes: number
  readonly sequence: number
}

/** What the index is to say of the file. Plain data: it comes from another thread. */
export interface CompactionResult {
  readonly summary: FileSummary
  readonly lanes: ReadonlyMap<LaneKey, CompactedLane>
}

export interface CompactedLane {
  readonly entries: readonly BlockEntry[]
  /** Sequences of its frames, as a flat array [a0, b0, …]. */
  readonly runs: readonly number[]
}

/** Writes and syncs the file. All segments are in memory meanwhile. @throws the system's error. */
export function compactSegments(request: CompactionRequest): CompactionResult {
  const { directory, segments, startMs, file } = request
  const schemas = new Map(
    request.schemas.map((json) => {
      const schema = compileSchema(json)
      return [schema.id, schema] as const
    }),
  )
  const schemaOf = (id: SchemaId) => schemas.get(id)
  const contents = segments.map((number) =>
    fs.readFileSync(path.join(directory, fileName('segment', number))),
  )
  const out = new SyncedFile(file)
  const lanes = new Map<LaneKey, CompactedLane>()
  try {
    out.write(blockFileHeader(startMs, segments))
    for (const [key, places] of lanesIn(contents)) {
      const entries: BlockEntry[] = []
      const held = new IntervalSet()
      for (const frames of blocksOf(places, contents)) {
        const offset = out.bytes
        const block = encodeBlock(frames, schemaOf)
        out.write(blockRecord(block, offset))
        entries.push(entryOf(frames, offset, block.length))
        for (const { frame } of frames) held.add(frame.sequence)
      }
      lanes.set(key, { entries, runs: held.toRuns() })
    }
    out.sync()
  } finally {
    out.close()
  }
  let frames = 0
  for (const { runs } of lanes.values()) frames += new IntervalSet(runs).size
  return { summary: blocksSummary(out.bytes, frames, lanes), lanes }
}

function entryOf(frames: readonly StoredFrame[], offset: number, bytes: number): BlockEntry {
  return {
    firstSequence: frames[0]!.frame.sequence,
    lastSequence: frames.at(-1)!.frame.sequence,
    firstUs: frames.reduce((least, { frame }) => Math.min(least, frame.firstUs), Infinity),
    lastUs: frames.reduce((most, { frame }) => Math.max(most, frame.lastUs), 0),
    offset,
    bytes,
  }
}

/** Every frame that holds, by lane; of two copies of a frame the later. */
function lanesIn(contents: readonly Buffer[]): Map<LaneKey, Place[]> {
  const lanes = new Map<LaneKey, Map<number, Place>>()
  for (const [segment, bytes] of contents.entries()) {
    const records = bytes.subarray(SEGMENT_HEADER_BYTES)
    scanRecords(records, SEGMENT_HEADER_BYTES, true, ({ offset, frame }) => {
      const { laneKey, sequence } = frame
      let places = lanes.get(laneKey)
      if (places === undefined) lanes.set(laneKey, (places = new Map()))
      const length = RECORD_HEADER_BYTES + frame.bytes.length
      places.set(sequence, { segment, offset, bytes: length, sequence })
    })
  }
  // In the order of keys: streams and sources that are asked for together lie together.
  const sorted = [...lanes].sort(([a], [b]) => (a < b ? -1 : 1))
  return new Map(
    sorted.map(([key, places]) => {
      return [key, [...places.values()].sort((a, b) => a.sequence - b.sequence)]
    }),
  )
}

/** The frames of a lane, cut where a block is full. */
function* blocksOf(
  places: readonly Place[],
  contents: readonly Buffer[],
): IterableIterator<StoredFrame[]> {
  let frames: StoredFrame[] = []
  let samples = 0
  let bytes = 0
  for (const place of places) {
    const slice = contents[place.segment]!.subarray(place.offset, place.offset + place.bytes)
    const record = readRecord(slice, place.offset)
    if (typeof record === 'string')
      throw new Error(`a record of ${place.segment} changed: ${record}`)
    const { frame, ingestUs } = record
    const isFull =
      samples + frame.count > BLOCK_SAMPLES || bytes + frame.bytes.length > BLOCK_FRAME_BYTES
    if (isFull && frames.length > 0) {
      yield frames
      frames = []
      samples = 0
      bytes = 0
    }
    frames.push({ frame, ingestUs })
    samples += frame.kind === 'data' ? frame.count : 1
    bytes += frame.bytes.length
  }
  if (frames.length > 0) yield frames
}

/** A new file that is written once, from its begin to its end. */
class SyncedFile {
  bytes = 0
  private syncedBytes = 0
  private readonly fd: number

  constructor(file: string) {
    this.fd = fs.openSync(file, 'w')
  }

  write(piece: Buffer): void {
    for (let at = 0; at < piece.length;) {
      at += fs.writeSync(this.fd, piece, at, piece.length - at, this.bytes + at)
    }
    this.bytes += piece.length
    if (this.bytes - this.syncedBytes >= SYNC_BYTES) this.sync()
  }

  sync(): void {
    fs.fdatasyncSync(this.fd)
    this.syncedBytes = this.bytes
  }

  close(): void {
    fs.closeSync(this.fd)
  }
}
