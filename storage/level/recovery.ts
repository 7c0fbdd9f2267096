// What a bucket holds, found out when it is opened. After a clean stop the index says so in one
// record per lane. After any other stop, and wherever the index does not add up, the segments do:
// one that the index vouches for is taken from the index, any other is read from end to end and every
// CRC in it checked, so that what is lost shows as a gap.
import fs from 'node:fs'
import path from 'node:path'
import type { LaneKey } from '../../mesh/index.ts'
import type { DamagedFrame } from '../frame-store.ts'
import { parseLaneKey } from '../../mesh/index.ts'
import { dataSync, readFully } from './disk.ts'
import type { FrameTable } from './frame-table.ts'
import { BucketLane, skipRuns } from './lane-state.ts'
import { readRecord, RECORD_HEADER_BYTES, scanSegment, type SegmentRecord } from './record.ts'
import type { IndexDatabase } from './records.ts'
import {
  dropSegment,
  getBucketLanes,
  getBucketSummary,
  getDamage,
  getSegmentLanes,
  getSegments,
  putBucket,
  putSegment,
  type DamageNote,
} from './segment-index.ts'
import { MemorySegment, segmentFiles, segmentName, type SegmentSummary } from './segment.ts'

export interface LoadedBucket {
  readonly lanes: Map<LaneKey, BucketLane>
  readonly segments: ReadonlyMap<number, SegmentSummary>
  readonly damage: readonly DamageNote[]
  /** Frames the index knew of that are not in the files any more. */
  readonly lost: readonly DamagedFrame[]
  readonly lastNumber: number
}

export async function loadBucket(
  db: IndexDatabase,
  directory: string,
  bucketMs: number,
): Promise<LoadedBucket> {
  const files = segmentFiles(directory)
  const segments = await getSegments(db)
  const damage = await getDamage(db)
  const lastNumber = Math.max(0, ...files.keys(), ...segments.keys())
  const lanes = await sealedLanes(db, files, segments)
  if (lanes !== undefined) return { lanes, segments, damage, lost: [], lastNumber }
  const rebuild = new Rebuild(db, directory, bucketMs, segments, damage)
  await rebuild.run(files)
  const { lanes: found, segments: usable, lost } = rebuild
  return { lanes: found, segments: usable, damage, lost, lastNumber }
}

/** The lane summaries, when they sum up exactly the segments that are there. */
async function sealedLanes(
  db: IndexDatabase,
  files: ReadonlyMap<number, number>,
  segments: ReadonlyMap<number, SegmentSummary>,
): Promise<Map<LaneKey, BucketLane> | undefined> {
  const summary = await getBucketSummary(db)
  if (summary === undefined || summary.segments.length !== files.size) return undefined
  for (const [number, bytes] of summary.segments) {
    if (!segments.has(number) || (files.get(number) ?? 0) < bytes) return undefined
  }
  return getBucketLanes(db, summary)
}

/**
 * Reads a segment and writes its index anew. Undefined, and the file removed, when it has no frames.
 * Afterwards what it holds is on the disk: a killed process leaves bytes that only the page cache has.
 */
export async function recoverSegment(
  db: IndexDatabase,
  file: string,
  number: number,
  bucketMs: number,
  visit: (record: SegmentRecord) => void = () => undefined,
): Promise<SegmentSummary | undefined> {
  const segment = MemorySegment.recovered(number)
  const lanes = new Map<LaneKey, BucketLane>()
  const fd = fs.openSync(file, 'r+')
  try {
    await dataSync(fd)
    await scanSegment(fd, (record) => {
      const { frame, ingestUs, offset } = record
      segment.note(laneOf(lanes, frame.laneKey, bucketMs), frame, ingestUs, offset)
      visit(record)
    })
  } finally {
    fs.closeSync(fd)
  }
  await dropSegment(db, number)
  if (segment.table.length === 0) {
    await fs.promises.unlink(file)
    return undefined
  }
  await putSegment(db, segment)
  return segment.summary()
}

class Rebuild {
  readonly lanes = new Map<LaneKey, BucketLane>()
  readonly segments = new Map<number, SegmentSummary>()
  readonly lost: DamagedFrame[] = []
  private readonly db: IndexDatabase
  private readonly directory: string
  private readonly bucketMs: number
  private readonly indexed: ReadonlyMap<number, SegmentSummary>
  private readonly damaged: ReadonlySet<string>

  constructor(
    db: IndexDatabase,
    directory: string,
    bucketMs: number,
    indexed: ReadonlyMap<number, SegmentSummary>,
    damage: readonly DamageNote[],
  ) {
    this.db = db
    this.directory = directory
    this.bucketMs = bucketMs
    this.indexed = indexed
    this.damaged = new Set(damage.map(({ segment, offset }) => `${segment}:${offset}`))
  }

  async run(files: ReadonlyMap<number, number>): Promise<void> {
    const numbers = [...new Set([...files.keys(), ...this.indexed.keys()])].sort((a, b) => a - b)
    for (const number of numbers) await this.take(number, files.get(number))
    const sums = [...this.segments].map(([number, { bytes }]) => [number, bytes] as const)
    await putBucket(this.db, this.lanes, sums)
  }

  private async take(number: number, fileBytes: number | undefined): Promise<void> {
    const summary = this.indexed.get(number)
    const indexed =
      summary === undefined ? undefined : await getSegmentLanes(this.db, number, summary)
    if (summary !== undefined && indexed !== undefined && (fileBytes ?? 0) >= summary.bytes) {
      for (const { lane, table, lastIngestUs } of indexed) {
        await this.takeIndexed(number, lane, table, lastIngestUs)
      }
      this.segments.set(number, summary)
      return
    }
    const found = new Set<number>()
    if (fileBytes === undefined) await dropSegment(this.db, number)
    else await this.takeFile(number, found)
    for (const { lane, table } of indexed ?? []) this.noteLost(lane, table, found)
  }

  private async takeFile(number: number, found: Set<number>): Promise<void> {
    const file = path.join(this.directory, segmentName(number))
    const summary = await recoverSegment(this.db, file, number, this.bucketMs, (record) => {
      found.add(record.offset)
      const { frame, ingestUs } = record
      const lane = laneOf(this.lanes, frame.laneKey, this.bucketMs)
      lane.add(frame, ingestUs, number)
      if (frame.kind === 'skip') lane.skipped.addAll(skipRuns(frame.body))
    })
    if (summary !== undefined) this.segments.set(number, summary)
  }

  private async takeIndexed(
    number: number,
    key: LaneKey,
    table: FrameTable,
    lastIngestUs: number,
  ): Promise<void> {
    const lane = laneOf(this.lanes, key, this.bucketMs)
    for (let index = 0; index < table.length; index++) {
      if (this.damaged.has(`${number}:${table.offset(index)}`)) continue
      lane.add(table.facts(index), lastIngestUs, number)
      if (table.kind(index) === 'skip') {
        lane.skipped.addAll(await this.readSkip(number, table, index))
      }
    }
  }

  /** A skip frame's runs are in its body only. */
  private async readSkip(number: number, table: FrameTable, index: number) {
    const bytes = Buffer.allocUnsafe(RECORD_HEADER_BYTES + table.bytes(index))
    const fd = fs.openSync(path.join(this.directory, segmentName(number)), 'r')
    try {
      await readFully(fd, bytes, bytes.length, table.offset(index))
    } finally {
      fs.closeSync(fd)
    }
    const record = readRecord(bytes, table.offset(index))
    return skipRuns(typeof record === 'string' ? Buffer.alloc(0) : record.frame.body)
  }

  private noteLost(key: LaneKey, table: FrameTable, found: ReadonlySet<number>): void {
    const { source, stream, epoch } = parseLaneKey(key)
    for (let index = 0; index < table.length; index++) {
      if (found.has(table.offset(index))) continue
      const sequence = table.sequence(index)
      this.lost.push({ source, stream, epoch, sequence, reason: 'no longer in its segment' })
    }
  }
}

function laneOf(lanes: Map<LaneKey, BucketLane>, key: LaneKey, bucketMs: number): BucketLane {
  let lane = lanes.get(key)
  if (lane === undefined) lanes.set(key, (lane = new BucketLane(key, bucketMs)))
  return lane
}
