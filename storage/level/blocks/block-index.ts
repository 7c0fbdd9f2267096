// The index of a block file: for each lane, where its blocks are and what they span. Derived from the
// file, as the index of a segment is (segment-index.ts).
//
//   c file lane    entries of six f64: first sequence | last sequence | first µs | last µs | offset | bytes
import type { LaneKey } from '../../../mesh/index.ts'
import {
  checkedValue,
  CRC_BYTES,
  entriesWith,
  numberKey,
  withCrc,
  type IndexDatabase,
} from '../records.ts'
import type { FileSummary } from '../segment.ts'
import type { PlacedBlock } from './block-file.ts'

/** Where a block is, and what it spans. */
export interface BlockEntry {
  readonly firstSequence: number
  readonly lastSequence: number
  readonly firstUs: number
  readonly lastUs: number
  readonly offset: number
  /** Of the block, without its record's header. */
  readonly bytes: number
}

const ENTRY_NUMBERS = 6
const LANES_PER_TURN = 256

export function blockEntry({ offset, bytes, block }: PlacedBlock): BlockEntry {
  const { frames, firstUs, lastUs } = block
  const firstSequence = frames[0]!.sequence
  const lastSequence = frames.at(-1)!.sequence
  return { firstSequence, lastSequence, firstUs, lastUs, offset, bytes }
}

/** Writes the entries of a block file; its summary is to follow, so that it vouches for them. */
export async function putBlocks(
  db: IndexDatabase,
  file: number,
  lanes: ReadonlyMap<LaneKey, { readonly entries: readonly BlockEntry[] }>,
): Promise<void> {
  let operations = []
  for (const [lane, { entries }] of lanes) {
    const key = keyOf(file, lane)
    operations.push({ type: 'put' as const, key, value: valueOf(key, entries) })
    if (operations.length < LANES_PER_TURN) continue
    await db.batch(operations, { sync: true })
    operations = []
  }
  await db.batch(operations, { sync: true })
}

/** The lane's blocks in the file; undefined when the record is missing or damaged. */
export async function getBlocks(
  db: IndexDatabase,
  file: number,
  lane: LaneKey,
): Promise<BlockEntry[] | undefined> {
  const key = keyOf(file, lane)
  return parse(key, await db.get(key))
}

/** Every lane's blocks in the file; undefined when a record is damaged. */
export async function getAllBlocks(
  db: IndexDatabase,
  file: number,
): Promise<Map<LaneKey, BlockEntry[]> | undefined> {
  const lanes = new Map<LaneKey, BlockEntry[]>()
  for await (const [key, value] of entriesWith(db, 'c', file)) {
    const entries = parse(key, value)
    if (entries === undefined) return undefined
    lanes.set(key.toString('latin1', 5) as LaneKey, entries)
  }
  return lanes
}

function keyOf(file: number, lane: LaneKey): Buffer {
  return Buffer.concat([numberKey('c', file), Buffer.from(lane, 'latin1')])
}

function valueOf(key: Buffer, entries: readonly BlockEntry[]): Buffer {
  const numbers = entries.flatMap((entry) => [
    entry.firstSequence,
    entry.lastSequence,
    entry.firstUs,
    entry.lastUs,
    entry.offset,
    entry.bytes,
  ])
  const content = Buffer.from(Float64Array.from(numbers).buffer)
  return withCrc(key, Buffer.concat([content, Buffer.alloc(CRC_BYTES)]))
}

function parse(key: Buffer, value: Buffer | undefined): BlockEntry[] | undefined {
  const content = checkedValue(key, value)
  if (content === undefined) return undefined
  const numbers = new Float64Array(new Uint8Array(content).buffer)
  const entries: BlockEntry[] = []
  for (let at = 0; at < numbers.length; at += ENTRY_NUMBERS) {
    entries.push({
      firstSequence: numbers[at]!,
      lastSequence: numbers[at + 1]!,
      firstUs: numbers[at + 2]!,
      lastUs: numbers[at + 3]!,
      offset: numbers[at + 4]!,
      bytes: numbers[at + 5]!,
    })
  }
  return entries
}

/** Of a block file of so many bytes and frames, with these blocks. */
export function blocksSummary(
  bytes: number,
  frames: number,
  lanes: ReadonlyMap<LaneKey, { readonly entries: readonly BlockEntry[] }>,
): FileSummary {
  let firstUs = Infinity
  let lastUs = -Infinity
  for (const { entries } of lanes.values()) {
    for (const entry of entries) {
      firstUs = Math.min(firstUs, entry.firstUs)
      lastUs = Math.max(lastUs, entry.lastUs)
    }
  }
  return { kind: 'blocks', bytes, frames, lanes: lanes.size, firstUs, lastUs }
}
