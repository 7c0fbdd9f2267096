// The index of one bucket: a classic-level database beside its segments. All of it can be rebuilt
// from the segments, and is wherever it does not add up; LevelDB as we can get it does not verify its
// blocks, so every value carries its own CRC-32.
//
//   s file                    summary of a finished file (JSON)
//   l segment lane chunk      entries u32 | chunks u32 | last ingest µs f64 | entries of 40 bytes
//   b lane                    what the bucket holds of the lane: numbers as f64
//   B                         which segments the b records sum up, and how many b records (JSON)
//   c file lane               where the lane's blocks are in a block file (block-index.ts)
//   d file offset             a damaged record or block: the frames it held (JSON)
//
// Keys of one segment come one after another, in the order they are written, so LevelDB only moves
// the files of older segments and never merges them.
import type { LaneKey } from '../../mesh/index.ts'
import { ENTRY_BYTES, FrameTable } from './frame-table.ts'
import { BucketLane } from './lane-state.ts'
import {
  checkedValue,
  CRC_BYTES,
  entriesWith,
  jsonValue,
  numberKey,
  parseJson,
  withCrc,
  type IndexDatabase,
} from './records.ts'
import type { MemorySegment, FileSummary } from './segment.ts'

/** Entries in one record (40 KiB): more of one lane and segment go into further chunks. */
const CHUNK_ENTRIES = 1024
const CHUNK_HEADER_BYTES = 16
/** Lanes put together in one go: about 3 ms, so that a finished segment does not hold up acks. */
const LANES_PER_TURN = 256
const BUCKET_KEY = Buffer.from('B')

export interface BucketSummary {
  /** [number, bytes] of each file summed up. */
  readonly files: readonly (readonly [number, number])[]
  readonly lanes: number
}

export interface DamageNote {
  readonly segment: number
  readonly offset: number
  readonly lane: LaneKey
  /** Sequences of the frames it held, as a flat array [a0, b0, …]. */
  readonly runs: readonly number[]
  readonly reason: string
}

/** Writes everything the index says of a segment; the summary last, so that it vouches for the rest. */
export async function putSegment(db: IndexDatabase, segment: MemorySegment): Promise<void> {
  for (let from = 0; from < segment.lanes.length; from += LANES_PER_TURN) {
    const operations = []
    const to = Math.min(segment.lanes.length, from + LANES_PER_TURN)
    for (let slot = from; slot < to; slot++) {
      const entries = [...segment.entriesAt(slot)].reverse()
      const chunks = Math.ceil(entries.length / CHUNK_ENTRIES)
      for (let chunk = 0; chunk < chunks; chunk++) {
        const part = entries.slice(chunk * CHUNK_ENTRIES, (chunk + 1) * CHUNK_ENTRIES)
        const value = Buffer.allocUnsafe(CHUNK_HEADER_BYTES + part.length * ENTRY_BYTES + CRC_BYTES)
        value.writeUInt32LE(part.length, 0)
        value.writeUInt32LE(chunks, 4)
        value.writeDoubleLE(segment.lastIngestUs[slot]!, 8)
        part.forEach((entry, i) => {
          segment.table.copyTo(entry, value, CHUNK_HEADER_BYTES + i * ENTRY_BYTES)
        })
        const key = chunkKey(segment.number, segment.lanes[slot]!.key, chunk)
        operations.push({ type: 'put' as const, key, value: withCrc(key, value) })
      }
    }
    await db.batch(operations, { sync: true })
  }
  await putSummary(db, segment.number, segment.summary())
}

export async function putSummary(
  db: IndexDatabase,
  file: number,
  summary: FileSummary,
): Promise<void> {
  const key = numberKey('s', file)
  await db.put(key, jsonValue(key, summary), { sync: true })
}

export async function getSummaries(db: IndexDatabase): Promise<Map<number, FileSummary>> {
  const found = new Map<number, FileSummary>()
  for await (const [key, value] of entriesWith(db, 's')) {
    const summary = parseJson(key, value) as FileSummary | undefined
    if (summary !== undefined) found.set(key.readUInt32BE(1), summary)
  }
  return found
}

export interface LaneChunk {
  readonly table: FrameTable
  readonly chunks: number
  readonly lastIngestUs: number
}

/**
 * The lane's entries in each of these segments, in the order asked for. Undefined for a segment whose
 * record is missing or damaged.
 */
export async function getLane(
  db: IndexDatabase,
  segments: readonly number[],
  lane: LaneKey,
): Promise<(FrameTable[] | undefined)[]> {
  const firstKeys = segments.map((segment) => chunkKey(segment, lane, 0))
  const values = await db.getMany(firstKeys)
  const tables: (FrameTable[] | undefined)[] = []
  for (const [i, value] of values.entries()) {
    const first = parseChunk(firstKeys[i]!, value)
    if (first === undefined || first.chunks === 1) {
      tables.push(first === undefined ? undefined : [first.table])
      continue
    }
    const keys: Buffer[] = []
    for (let n = 1; n < first.chunks; n++) keys.push(chunkKey(segments[i]!, lane, n))
    const rest = (await db.getMany(keys)).map((value, n) => parseChunk(keys[n]!, value))
    const whole = [first, ...rest].flatMap((chunk) => (chunk === undefined ? [] : [chunk.table]))
    tables.push(whole.length === first.chunks ? whole : undefined)
  }
  return tables
}

/** Every lane of a segment; undefined when a record is missing or damaged. */
export async function getSegmentLanes(
  db: IndexDatabase,
  segment: number,
  summary: FileSummary,
): Promise<(LaneChunk & { readonly lane: LaneKey })[] | undefined> {
  const found: (LaneChunk & { readonly lane: LaneKey })[] = []
  let lanes = 0
  let frames = 0
  for await (const [key, value] of entriesWith(db, 'l', segment)) {
    const chunk = parseChunk(key, value)
    if (chunk === undefined) return undefined
    const lane = key.toString('latin1', 5, key.length - 2) as LaneKey
    if (key.readUInt16BE(key.length - 2) === 0) lanes += 1
    frames += chunk.table.length
    found.push({ ...chunk, lane })
  }
  return lanes === summary.lanes && frames === summary.frames ? found : undefined
}

/** Forgets a file that is gone, or turned out to hold something else. */
export async function dropFile(db: IndexDatabase, file: number): Promise<void> {
  for (const kind of ['l', 'c']) {
    await db.clear({ gte: numberKey(kind, file), lt: numberKey(kind, file + 1) })
  }
  await db.del(numberKey('s', file), { sync: true })
}

/** Gives back the room of records that were dropped: LevelDB would keep it until it is written to. */
export async function shrink(db: IndexDatabase): Promise<void> {
  await db.compactRange(Buffer.from([0]), Buffer.from([0xff]))
}

/** Writes what a bucket holds of each lane, then the record that says for which segments that is so. */
export async function putBucket(
  db: IndexDatabase,
  lanes: ReadonlyMap<LaneKey, BucketLane>,
  files: BucketSummary['files'],
): Promise<void> {
  let operations = []
  for (const lane of lanes.values()) {
    const key = laneKeyOf(lane.key)
    operations.push({ type: 'put' as const, key, value: laneValue(key, lane) })
    if (operations.length < LANES_PER_TURN) continue
    await db.batch(operations, { sync: true })
    operations = []
  }
  const summary: BucketSummary = { files, lanes: lanes.size }
  operations.push({ type: 'put' as const, key: BUCKET_KEY, value: jsonValue(BUCKET_KEY, summary) })
  await db.batch(operations, { sync: true })
}

export async function getBucketSummary(db: IndexDatabase): Promise<BucketSummary | undefined> {
  return parseJson(BUCKET_KEY, await db.get(BUCKET_KEY)) as BucketSummary | undefined
}

/** The b records hold no longer: the next open looks at the segments again. */
export async function dropBucketSummary(db: IndexDatabase): Promise<void> {
  await db.del(BUCKET_KEY, { sync: true })
}

/** What the bucket holds of every lane; undefined when a record is missing or damaged. */
export async function getBucketLanes(
  db: IndexDatabase,
  summary: BucketSummary,
): Promise<Map<LaneKey, BucketLane> | undefined> {
  const lanes = new Map<LaneKey, BucketLane>()
  for await (const [key, value] of entriesWith(db, 'b')) {
    const lane = parseLane(key, value)
    if (lane === undefined) return undefined
    lanes.set(lane.key, lane)
  }
  return lanes.size === summary.lanes ? lanes : undefined
}

export async function getBucketLane(
  db: IndexDatabase,
  key: LaneKey,
): Promise<BucketLane | undefined> {
  const at = laneKeyOf(key)
  return parseLane(at, await db.get(at))
}

export async function putDamage(db: IndexDatabase, notes: Iterable<DamageNote>): Promise<void> {
  const operations = Array.from(notes, (note) => {
    const key = Buffer.alloc(9)
    numberKey('d', note.segment).copy(key)
    key.writeUInt32BE(note.offset, 5)
    return { type: 'put' as const, key, value: jsonValue(key, note) }
  })
  await db.batch(operations, { sync: true })
}

export async function getDamage(db: IndexDatabase): Promise<DamageNote[]> {
  const notes: DamageNote[] = []
  for await (const [key, value] of entriesWith(db, 'd')) {
    const note = parseJson(key, value) as DamageNote | undefined
    if (note !== undefined) notes.push(note)
  }
  return notes
}

function chunkKey(segment: number, lane: LaneKey, chunk: number): Buffer {
  const key = Buffer.allocUnsafe(7 + lane.length)
  key[0] = 0x6c
  key.writeUInt32BE(segment, 1)
  key.write(lane, 5, 'latin1')
  key.writeUInt16BE(chunk, 5 + lane.length)
  return key
}

function laneKeyOf(lane: LaneKey): Buffer {
  return Buffer.from(`b${lane}`, 'latin1')
}

function parseChunk(key: Buffer, value: Buffer | undefined): LaneChunk | undefined {
  const content = checkedValue(key, value)
  if (content === undefined) return undefined
  const table = FrameTable.from(content.subarray(CHUNK_HEADER_BYTES))
  return { table, chunks: content.readUInt32LE(4), lastIngestUs: content.readDoubleLE(8) }
}

function laneValue(key: Buffer, lane: BucketLane): Buffer {
  const lists = [lane.held.toRuns(), lane.skipped.toRuns(), lane.segments.toRuns()]
  const sums = [lane.bucketMs, lane.ended, lane.lastIngestUs, lane.sampleCount, lane.frameCount]
  const newest = [lane.firstUs, lane.lastUs, lane.newestUs, lane.newestSequence]
  const lengths = lists.map((list) => list.length)
  const all = Float64Array.from([sums, newest, lengths, ...lists].flat())
  return withCrc(key, Buffer.concat([Buffer.from(all.buffer), Buffer.alloc(CRC_BYTES)]))
}

/** Numbers before the three lists of a b record. */
const LANE_NUMBERS = 12

function parseLane(key: Buffer, value: Buffer | undefined): BucketLane | undefined {
  const content = checkedValue(key, value)
  if (content === undefined) return undefined
  const numbers = new Float64Array(new Uint8Array(content).buffer)
  const lane = new BucketLane(key.toString('latin1', 1) as LaneKey, numbers[0]!)
  lane.ended = numbers[1]!
  lane.lastIngestUs = numbers[2]!
  lane.sampleCount = numbers[3]!
  lane.frameCount = numbers[4]!
  lane.firstUs = numbers[5]!
  lane.lastUs = numbers[6]!
  lane.newestUs = numbers[7]!
  lane.newestSequence = numbers[8]!
  let at = LANE_NUMBERS
  for (const [i, set] of [lane.held, lane.skipped, lane.segments].entries()) {
    const end = at + numbers[9 + i]!
    for (; at < end; at += 2) set.add(numbers[at]!, numbers[at + 1])
  }
  return lane
}
