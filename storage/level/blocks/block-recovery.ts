// The index of a block file made anew from the file.
import fs from 'node:fs'
import { dataSync } from '../disk.ts'
import { scanBlockFile, type PlacedBlock } from './block-file.ts'
import { blockEntry, blocksSummary, putBlocks, type BlockEntry } from './block-index.ts'
import type { LaneKey } from '../../../mesh/index.ts'
import { dropFile, putSummary } from '../segment-index.ts'
import type { FileSummary } from '../segment.ts'
import type { IndexDatabase } from '../records.ts'

/**
 * Reads a block file from end to end, every CRC checked, and writes its index; `visit` sees each block
 * that holds. Undefined, and the file removed, when there is none.
 */
export async function recoverBlocks(
  db: IndexDatabase,
  file: string,
  number: number,
  visit: (placed: PlacedBlock) => void = () => undefined,
): Promise<FileSummary | undefined> {
  const lanes = new Map<LaneKey, { readonly entries: BlockEntry[] }>()
  let frames = 0
  const fd = fs.openSync(file, 'r+')
  try {
    await dataSync(fd)
    await scanBlockFile(fd, (placed) => {
      const { block } = placed
      const lane = lanes.get(block.laneKey)
      if (lane === undefined) lanes.set(block.laneKey, { entries: [blockEntry(placed)] })
      else lane.entries.push(blockEntry(placed))
      frames += block.frames.length
      visit(placed)
    })
  } finally {
    fs.closeSync(fd)
  }
  await dropFile(db, number)
  if (frames === 0) {
    await fs.promises.unlink(file)
    return undefined
  }
  const { size } = await fs.promises.stat(file)
  const summary = blocksSummary(size, frames, lanes)
  await putBlocks(db, number, lanes)
  await putSummary(db, number, summary)
  return summary
}
