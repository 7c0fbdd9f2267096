// Reads an outbox log back: every segment in order of number, every record in order of offset, as
// docs/outbox-format.md §4 says. Changes nothing but the end of the newest segment: what a crash left
// half-written there is cut. A crash at any point of recovery leaves a directory that recovers to the
// same.
import { closeSync, fdatasyncSync, ftruncateSync, openSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { MeshError } from '../errors.ts'
import { frameName } from '../frame.ts'
import type { MeshId } from '../names.ts'
import { isClosed } from './closed.ts'
import { LiveSet, type Place } from './live.ts'
import {
  decodeCheckpoint,
  decodeDead,
  decodeId,
  decodeSeal,
  eachOf,
  isCutWrite,
  RECORD_TYPES,
  scanRecords,
} from './records.ts'
import { readRecovered, type Recovered } from './recovered.ts'
import { parseSegmentName, Segment, SEGMENT_MAGIC } from './segment.ts'

export interface Replay {
  readonly live: LiveSet
  /** Ascending by number. */
  readonly segments: Segment[]
  readonly nextNumber: number
  readonly recovered: Recovered
}

/**
 * Replays the log of `directory`, which the caller has locked.
 * @throws MeshError MESH_MISMATCH when it belongs to another mesh.
 * @throws MeshError MESH_OUTBOX_DAMAGED when a segment has another version of the format.
 */
export async function replay(directory: string, meshId: MeshId, bootId: string): Promise<Replay> {
  const reader = new LogReader()
  let nextNumber = 1
  for (const number of await segmentNumbers(directory, meshId)) {
    nextNumber = number + 1
    const segment = new Segment(directory, meshId, number)
    reader.read(segment, await readFile(segment.path))
  }
  const isSameBoot = bootId !== '' && bootId === reader.bootId
  const isComplete = isSameBoot || (await isClosed(directory))
  const { live, segments } = reader
  const { tornBytes, damaged } = await reader.finish(isSameBoot, isComplete)
  return { live, segments, nextNumber, recovered: readRecovered(live, tornBytes, damaged) }
}

/** Takes in one segment after the other, and judges in the end what the last ones end with. */
class LogReader {
  readonly live = new LiveSet()
  readonly segments: Segment[] = []
  /** Of the last life, from its last checkpoint. */
  bootId = ''
  private damaged = 0
  /** False once a seal may be lost that no later checkpoint makes up for. */
  private isExact = true
  /** Segments at the end with nothing valid in them. */
  private hollow: Segment[] = []
  /** Bytes at the end, after the last valid record. */
  private tailBytes = 0
  /** That is how a process leaves them that dies in a write. */
  private isTailCut = true
  private end = 0

  read(segment: Segment, bytes: Buffer): void {
    segment.adopt(bytes.length)
    const { validEnd, damaged } = scanRecords(
      bytes,
      SEGMENT_MAGIC.length,
      segment.seed,
      (record, offset, isAfterDamage) => {
        // In the bytes before the first record of this segment, those of older ones included.
        if (isAfterDamage || this.tailBytes > 0) this.isExact = false
        if (this.tailBytes > 0) this.damaged += 1
        this.tailBytes = 0
        this.apply(record, { segment, offset, bytes: record.length })
      },
    )
    const hasMagic = bytes.subarray(0, SEGMENT_MAGIC.length).equals(SEGMENT_MAGIC)
    if (validEnd === 0) {
      refuseOtherVersion(bytes, segment)
      // Only a valid record in a later segment can tell a file that was being begun when a crash came
      // from one that is damaged.
      this.hollow.push(segment)
      this.tailBytes += segment.size
      this.isTailCut &&= bytes.length < SEGMENT_MAGIC.length || isCutHead(bytes, hasMagic, segment)
      return
    }
    this.damaged += damaged + (hasMagic ? 0 : 1)
    this.segments.push(...this.hollow, segment)
    this.hollow = []
    this.tailBytes = segment.size - validEnd
    this.isTailCut = isCutWrite(bytes, validEnd, segment.seed)
    this.end = validEnd
  }

  /**
   * Decides whether the bytes at the end are a write that was under way when the last life ended. On
   * a system that still runs nothing but that can be missing; anything else there is damage.
   */
  async finish(
    isSameBoot: boolean,
    isComplete: boolean,
  ): Promise<{ tornBytes: number; damaged: number }> {
    const { live, segments, hollow } = this
    const isDamage = this.tailBytes > 0 && isSameBoot && !this.isTailCut
    live.lanes.settle(this.isExact && this.isTailCut && isComplete)
    live.sort()
    if (isDamage) {
      segments.push(...hollow)
      return { tornBytes: 0, damaged: this.damaged + 1 }
    }
    const newest = segments.at(-1)
    if (newest !== undefined && this.end < newest.size) cutTail(newest, this.end)
    for (const segment of hollow) await segment.remove()
    return { tornBytes: this.tailBytes, damaged: this.damaged }
  }

  /** Replays one change of the live set, just as log.ts made it. */
  private apply(record: Buffer, place: Place): void {
    const { live } = this
    const type = record[8]
    if (type === RECORD_TYPES.sample) {
      live.putSample(decodeId(record), place)
    } else if (type === RECORD_TYPES.seal) {
      const { position, ordinals, frame } = decodeSeal(record)
      live.putFrame(position, place, frameName(frame))
      for (const ordinal of eachOf(ordinals)) live.takeSample(ordinal)
    } else if (type === RECORD_TYPES.dead) {
      const { positions, ordinals } = decodeDead(record)
      for (const position of eachOf(positions)) live.takeFrame(position)
      for (const ordinal of eachOf(ordinals)) live.takeSample(ordinal)
    } else {
      const checkpoint = decodeCheckpoint(record)
      live.apply(checkpoint)
      this.bootId = checkpoint.bootId
      // It names every lane, whatever was lost before it.
      this.isExact = true
    }
  }
}

function isCutHead(bytes: Buffer, hasMagic: boolean, { seed }: Segment): boolean {
  return hasMagic && isCutWrite(bytes, SEGMENT_MAGIC.length, seed)
}

async function segmentNumbers(directory: string, meshId: MeshId): Promise<number[]> {
  const numbers: number[] = []
  for (const name of await readdir(directory)) {
    const parsed = parseSegmentName(name)
    if (parsed === undefined) continue
    if (parsed.meshId !== meshId) {
      throw new MeshError(
        'MESH_MISMATCH',
        `outbox ${directory} belongs to mesh ${parsed.meshId}, not to ${meshId}`,
        { details: { directory, expected: meshId, found: parsed.meshId } },
      )
    }
    numbers.push(parsed.number)
  }
  return numbers.sort((a, b) => a - b)
}

function refuseOtherVersion(bytes: Buffer, { path }: Segment): void {
  const last = SEGMENT_MAGIC.length - 1
  if (bytes.length <= last || bytes[last] === SEGMENT_MAGIC[last]) return
  if (!bytes.subarray(0, last).equals(SEGMENT_MAGIC.subarray(0, last))) return
  throw new MeshError('MESH_OUTBOX_DAMAGED', `${path} has another format version`, {
    details: { path, magic: bytes.toString('latin1', 0, SEGMENT_MAGIC.length) },
  })
}

/** Synced, because the next life writes into a new segment: after that these bytes are not the end. */
function cutTail(segment: Segment, size: number): void {
  const fd = openSync(segment.path, 'r+')
  try {
    ftruncateSync(fd, size)
    fdatasyncSync(fd)
  } finally {
    closeSync(fd)
  }
  segment.adopt(size)
}
