// What a bucket holds, found out when it is opened. After a clean stop the index says so in one
// record per lane. After any other stop, and wherever the index does not add up, the segments do:
// one that the index vouches for is taken from the index, any other is read from end to end and every
// CRC in it checked, so that what is lost shows as a gap.
import fs from 'node:fs'
import path from 'node:path'
import { IntervalSet, parseLaneKey, type LaneKey } from '../../mesh/index.ts'
import type { DamagedFrame } from '../frame-store.ts'
import { getAllBlocks, type BlockEntry } from './blocks/block-index.ts'
import { recoverBlocks } from './blocks/block-recovery.ts'
import { bucketFiles, fileName, type BucketFile } from './bucket-files.ts'
import { dataSync, readAround } from './disk.ts'
import type { FrameTable } from './frame-table.ts'
import { BucketLane, skipRuns } from './lane-state.ts'
import { eachOf } from './pages.ts'
import { readRecord, RECORD_HEADER_BYTES, scanSegment, type SegmentRecord } from './record.ts'
import type { IndexDatabase } from './records.ts'
import {
  dropFile,
  getBucketLane,
  getBucketLanes,
  getBucketSummary,
  getDamage,
  getSegmentLanes,
  getSummaries,
  putBucket,
  putSegment,
  type DamageNote,
} from './segment-index.ts'
import { MemorySegment, type FileSummary } from './segment.ts'

export interface LoadedBucket {
  readonly lanes: Map<LaneKey, BucketLane>
  /** Files that hold frames, by number. */
  readonly files: ReadonlyMap<number, FileSummary>
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
  const files = bucketFiles(directory)
  const summaries = await getSummaries(db)
  const damage = await getDamage(db)
  const lastNumber = Math.max(0, ...files.keys(), ...summaries.keys())
  const lanes = await sealedLanes(db, files, summaries)
  if (lanes !== undefined) return { lanes, files: summaries, damage, lost: [], lastNumber }
  const rebuild = new Rebuild(db, directory, bucketMs, summaries, damage)
  await rebuild.run(files)
  const { lanes: found, files: usable, lost } = rebuild
  return { lanes: found, files: usable, damage, lost, lastNumber }
}

/** The lane summaries, when they sum up exactly the files that are there. */
async function sealedLanes(
  db: IndexDatabase,
  files: ReadonlyMap<number, BucketFile>,
  summaries: ReadonlyMap<number, FileSummary>,
): Promise<Map<LaneKey, BucketLane> | undefined> {
  const summary = await getBucketSummary(db)
  if (summary === undefined || summary.files.length !== files.size) return undefined
  for (const [number, bytes] of summary.files) {
    if (!summaries.has(number) || (files.get(number)?.bytes ?? 0) < bytes) return undefined
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
): Promise<FileSummary | undefined> {
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
  await dropFile(db, number)
  if (segment.table.length === 0) {
    await fs.promises.unlink(file)
    return undefined
  }
  await putSegment(db, segment)
  return segment.summary()
}

class Rebuild {
  readonly lanes = new Map<LaneKey, BucketLane>()
  readonly files = new Map<number, FileSummary>()
  readonly lost: DamagedFrame[] = []
  private readonly db: IndexDatabase
  private readonly directory: string
  private readonly bucketMs: number
  private readonly indexed: ReadonlyMap<number, FileSummary>
  private readonly damaged: ReadonlySet<string>
  private readonly lostBlocks: [LaneKey, BlockEntry][] = []

  constructor(
    db: IndexDatabase,
    directory: string,
    bucketMs: number,
    indexed: ReadonlyMap<number, FileSummary>,
    damage: readonly DamageNote[],
  ) {
    this.db = db
    this.directory = directory
    this.bucketMs = bucketMs
    this.indexed = indexed
    this.damaged = new Set(damage.map(({ segment, offset }) => `${segment}:${offset}`))
  }

  async run(files: ReadonlyMap<number, BucketFile>): Promise<void> {
    const numbers = [...new Set([...files.keys(), ...this.indexed.keys()])].sort((a, b) => a - b)
    for (const number of numbers) {
      const kind = files.get(number)?.kind ?? this.indexed.get(number)!.kind
      if (kind === 'segment') await this.takeSegment(number, files.get(number)?.bytes)
      else await this.takeBlocks(number, files.has(number))
    }
    for (const [lane, entry] of this.lostBlocks) await this.noteLostBlock(lane, entry)
    const sums = [...this.files].map(([number, { bytes }]) => [number, bytes] as const)
    await putBucket(this.db, this.lanes, sums)
  }

  private async takeSegment(number: number, fileBytes: number | undefined): Promise<void> {
    const summary = this.indexed.get(number)
    const indexed =
      summary === undefined ? undefined : await getSegmentLanes(this.db, number, summary)
    if (summary !== undefined && indexed !== undefined && (fileBytes ?? 0) >= summary.bytes) {
      for (const { lane, table, lastIngestUs } of indexed) {
        await this.takeIndexed(number, lane, table, lastIngestUs)
      }
      this.files.set(number, summary)
      return
    }
    const found = new Set<number>()
    if (fileBytes === undefined) await dropFile(this.db, number)
    else await this.takeFile(number, found)
    for (const { lane, table } of indexed ?? []) this.noteLost(lane, table, found)
  }

  private async takeFile(number: number, found: Set<number>): Promise<void> {
    const file = path.join(this.directory, fileName('segment', number))
    const summary = await recoverSegment(this.db, file, number, this.bucketMs, (record) => {
      found.add(record.offset)
      const { frame, ingestUs } = record
      const lane = laneOf(this.lanes, frame.laneKey, this.bucketMs)
      lane.add(frame, ingestUs, number)
      if (frame.kind === 'skip') lane.skipped.addAll(skipRuns(frame.body))
    })
    if (summary !== undefined) this.files.set(number, summary)
  }

  /** A block file is always read: its index does not say what a block holds, only where it is. */
  private async takeBlocks(number: number, isThere: boolean): Promise<void> {
    const known = await getAllBlocks(this.db, number)
    const found = new Set<number>()
    if (isThere) {
      const file = path.join(this.directory, fileName('blocks', number))
      const summary = await recoverBlocks(this.db, file, number, ({ offset, block }) => {
        found.add(offset)
        const lane = laneOf(this.lanes, block.laneKey, this.bucketMs)
        for (const frame of block.frames) {
          lane.add(frame, frame.ingestUs, number)
          if (frame.kind === 'skip') lane.skipped.addAll(skipRuns(frame.verbatim!.body))
        }
      })
      if (summary !== undefined) this.files.set(number, summary)
    } else {
      await dropFile(this.db, number)
    }
    for (const [lane, entries] of known ?? []) {
      for (const entry of entries) if (!found.has(entry.offset)) this.lostBlocks.push([lane, entry])
    }
  }

  /** What the bucket held of a lane when it was sealed, and nothing holds now where the block was. */
  private async noteLostBlock(key: LaneKey, entry: BlockEntry): Promise<void> {
    const { firstSequence, lastSequence } = entry
    const before = (await getBucketLane(this.db, key))?.held ?? new IntervalSet()
    const inside = before.and(new IntervalSet([firstSequence, lastSequence]))
    const lost = inside.minus(this.lanes.get(key)?.held ?? new IntervalSet())
    for (const sequence of eachOf(lost, firstSequence, lastSequence)) {
      this.listLost(key, sequence, 'its block cannot be read')
    }
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
    const fd = fs.openSync(path.join(this.directory, fileName('segment', number)), 'r')
    try {
      await readAround(fd, bytes, bytes.length, table.offset(index))
    } finally {
      fs.closeSync(fd)
    }
    const record = readRecord(bytes, table.offset(index))
    return skipRuns(typeof record === 'string' ? Buffer.alloc(0) : record.frame.body)
  }

  private noteLost(key: LaneKey, table: FrameTable, found: ReadonlySet<number>): void {
    for (let index = 0; index < table.length; index++) {
      if (found.has(table.offset(index))) continue
      this.listLost(key, table.sequence(index), 'no longer in its segment')
    }
  }

  private listLost(key: LaneKey, sequence: number, reason: string): void {
    const { source, stream, epoch } = parseLaneKey(key)
    this.lost.push({ source, stream, epoch, sequence, reason })
  }
}

function laneOf(lanes: Map<LaneKey, BucketLane>, key: LaneKey, bucketMs: number): BucketLane {
  let lane = lanes.get(key)
  if (lane === undefined) lanes.set(key, (lane = new BucketLane(key, bucketMs)))
  return lane
}
