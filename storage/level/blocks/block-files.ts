// The block files of one bucket: which frames they hold, found through the bucket's index, and the
// frames themselves, put together again from their blocks.
import path from 'node:path'
import type { LaneKey, Schema, SchemaId } from '../../../mesh/index.ts'
import type { StoredBlock, StoredFrame } from '../../frame-store.ts'
import type { BlockCache } from './block-cache.ts'
import { readPlacedBlock, scanBlockFile } from './block-file.ts'
import type { BlockEntry } from './block-index.ts'
import { blockFrame, type Block } from './block.ts'
import { storedBlock } from './stored-block.ts'
import { fileName } from '../bucket-files.ts'
import { isErrorCode } from '../disk.ts'
import type { HandlePool } from '../handle-pool.ts'
import type { FrameFilter } from '../lane-state.ts'
import type { Pace } from '../record.ts'

export interface BlockFilesOptions {
  /** Of the bucket. */
  readonly directory: string
  readonly files: HandlePool<number>
  readonly cache: BlockCache
  readonly schemaOf: (id: SchemaId) => Schema | undefined
}

/** A block of a lane, and where it is. */
export interface BlockPlace {
  readonly file: number
  readonly lane: LaneKey
  readonly entry: BlockEntry
}

export class BlockFiles {
  private readonly options: BlockFilesOptions

  constructor(options: BlockFilesOptions) {
    this.options = options
  }

  /** A string says why it cannot be had. */
  async block({ file, lane, entry }: BlockPlace): Promise<Block | string> {
    const { cache } = this.options
    const block = await cache.get(`${this.pathOf(file)}:${entry.offset}`, () =>
      this.readBlock(file, entry),
    )
    return typeof block === 'string' || block.laneKey === lane
      ? block
      : 'another block stands there'
  }

  /**
   * The frame of that sequence as it came; a string says why it cannot be had. Undefined: not now, for its
   * schema is not known, damaged most likely, and fetched again from another store.
   */
  async frame(place: BlockPlace, sequence: number): Promise<StoredFrame | string | undefined> {
    const block = await this.block(place)
    if (typeof block === 'string') return block
    const index = block.frames.findIndex((frame) => frame.sequence === sequence)
    if (index < 0) return 'not in its block'
    const schema = this.options.schemaOf(block.schemaId)
    if (schema === undefined && block.frames[index]!.verbatim === undefined) return undefined
    const frame = blockFrame(block, index, schema)
    return typeof frame === 'string' ? frame : { frame, ingestUs: block.frames[index]!.ingestUs }
  }

  /** Those of its frames with these sequences; a string says why they cannot be had. */
  async stored(place: BlockPlace, sequences: ReadonlySet<number>): Promise<StoredBlock | string> {
    const block = await this.block(place)
    if (typeof block === 'string') return block
    const frames = block.frames.filter(({ sequence }) => sequences.has(sequence))
    return storedBlock(block, frames, this.options.schemaOf(block.schemaId))
  }

  /** Offsets of the blocks that can be read of a file. */
  async readable(file: number, pace: Pace): Promise<Set<number>> {
    const offsets = new Set<number>()
    try {
      await this.options.files.use(this.pathOf(file), (fd) =>
        scanBlockFile(fd, ({ offset }) => void offsets.add(offset), pace),
      )
    } catch (error) {
      if (!isErrorCode(error, 'ENOENT')) throw error
    }
    return offsets
  }

  close(file: number): Promise<void> {
    return this.options.files.close(this.pathOf(file))
  }

  pathOf(file: number): string {
    return path.join(this.options.directory, fileName('blocks', file))
  }

  private async readBlock(file: number, { offset, bytes }: BlockEntry): Promise<Block | string> {
    try {
      return await this.options.files.use(this.pathOf(file), (fd) =>
        readPlacedBlock(fd, offset, bytes),
      )
    } catch (error) {
      if (!isErrorCode(error, 'ENOENT', 'EIO')) throw error
      return (error as Error).message
    }
  }
}

/** Whether the block may have frames that pass. */
export function mayPass(entry: BlockEntry, filter: FrameFilter): boolean {
  const { firstSequence, lastSequence, firstUs, lastUs } = entry
  if (firstSequence > filter.toSequence || lastSequence < filter.fromSequence) return false
  return firstUs < filter.toUs && lastUs >= filter.fromUs
}
