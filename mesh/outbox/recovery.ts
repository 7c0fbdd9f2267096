// Reads an outbox log back: every segment in order of number, every record in order of offset, as
// docs/outbox-format.md §4 says. Changes nothing but the end of the newest segment: what a crash left
// half-written there is cut. A crash at any point of recovery leaves a directory that recovers to the
// same.
import { closeSync, fdatasyncSync, ftruncateSync, openSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { MeshError } from '../errors.ts'
import type { MeshId } from '../names.ts'
import { LiveSet, type Place } from './live.ts'
import {
  decodeCheckpoint,
  decodeDead,
  decodeId,
  decodeSeal,
  eachOf,
  RECORD_TYPES,
  type Scan,
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
export async function replay(directory: string, meshId: MeshId): Promise<Replay> {
  const live = new LiveSet()
  const segments: Segment[] = []
  // Segments at the end with nothing valid in them. Only a valid record in a later one can tell a
  // file that was being begun when a crash came from one that is damaged.
  let hollow: Segment[] = []
  let tornBytes = 0
  let damaged = 0
  let nextNumber = 1
  let end = 0
  for (const number of await segmentNumbers(directory, meshId)) {
    nextNumber = number + 1
    const segment = new Segment(directory, meshId, number)
    const scan = scanSegment(await readFile(segment.path), segment, live)
    if (scan.validEnd === 0) {
      hollow.push(segment)
      tornBytes += segment.size
      continue
    }
    if (tornBytes > 0) damaged += 1
    damaged += scan.damaged
    segments.push(...hollow, segment)
    hollow = []
    tornBytes = segment.size - scan.validEnd
    end = scan.validEnd
  }
  const newest = segments.at(-1)
  if (newest !== undefined && end < newest.size) cutTail(newest, end)
  for (const segment of hollow) await segment.remove()
  live.sort()
  return { live, segments, nextNumber, recovered: readRecovered(live, tornBytes, damaged) }
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

function scanSegment(bytes: Buffer, segment: Segment, live: LiveSet): Scan {
  segment.adopt(bytes.length)
  const scan = scanRecords(bytes, SEGMENT_MAGIC.length, segment.seed, (record, offset) => {
    applyRecord(record, { segment, offset, bytes: record.length }, live)
  })
  if (scan.validEnd === 0) refuseOtherVersion(bytes, segment)
  if (bytes.subarray(0, SEGMENT_MAGIC.length).equals(SEGMENT_MAGIC)) return scan
  return { validEnd: scan.validEnd, damaged: scan.damaged + 1 }
}

/** Replays one change of the live set, just as log.ts made it. */
function applyRecord(record: Buffer, place: Place, live: LiveSet): void {
  const type = record[8]
  if (type === RECORD_TYPES.sample) {
    live.putSample(decodeId(record), place)
  } else if (type === RECORD_TYPES.seal) {
    const { position, ordinals } = decodeSeal(record)
    live.putFrame(position, place)
    for (const ordinal of eachOf(ordinals)) live.takeSample(ordinal)
  } else if (type === RECORD_TYPES.dead) {
    const { positions, ordinals } = decodeDead(record)
    for (const position of eachOf(positions)) live.takeFrame(position)
    for (const ordinal of eachOf(ordinals)) live.takeSample(ordinal)
  } else {
    live.apply(decodeCheckpoint(record))
  }
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
