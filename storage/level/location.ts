// Where frames stand, and what is looked for.
import type { LaneKey } from '../../mesh/index.ts'
import type { BlockPlace } from './blocks/block-files.ts'
import type { FrameTable } from './frame-table.ts'
import type { FrameFacts, FrameFilter } from './lane-state.ts'

/** Where one frame stands in its bucket, and what the index says of it. */
export interface Location {
  readonly file: number
  readonly offset: number
  readonly bytes: number
  /** Undefined for small frames in a block, which have to be read to know. */
  readonly crc: number | undefined
  readonly sequence: number
  readonly firstUs: number
  /** Samples. */
  readonly count: number
  /** The block that holds it; undefined in a segment. */
  readonly block: BlockPlace | undefined
  /** Whether that block keeps it as columns. */
  readonly inColumns: boolean
}

/** Whose frame stands where. */
export interface FramePlace {
  readonly lane: LaneKey
  readonly location: Location
}

/** What a search comes upon. */
export interface Found {
  readonly locations: Location[]
  /** Blocks that may hold some of what is looked for, and why they cannot be read. */
  readonly unreadable: { readonly place: BlockPlace; readonly reason: string }[]
}

export interface Search extends FrameFilter {
  readonly dataOnly?: boolean
  readonly sequences?: ReadonlySet<number>
}

/** Whether a frame with these facts is looked for. */
export function passes({ kind, sequence, firstUs, lastUs }: FrameFacts, search: Search): boolean {
  if (sequence < search.fromSequence || sequence > search.toSequence) return false
  if (search.sequences?.has(sequence) === false) return false
  if (firstUs >= search.toUs || lastUs < search.fromUs) return false
  return search.dataOnly !== true || kind === 'data'
}

/** Where the entry of a segment's table says that its frame is. */
export function placeIn(file: number, table: FrameTable, index: number): Location {
  return {
    file,
    offset: table.offset(index),
    bytes: table.bytes(index),
    crc: table.crc(index),
    sequence: table.sequence(index),
    firstUs: table.firstUs(index),
    count: table.kind(index) === 'data' ? table.count(index) : 0,
    block: undefined,
    inColumns: false,
  }
}
