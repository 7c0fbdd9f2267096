// A block as a scan hands it over: samples and sums, without making frames of it first.
import type { Sample, Schema } from '../../../mesh/index.ts'
import type { Cell, StoredBlock } from '../../frame-store.ts'
import { blockSamples, blockStatistics, type Block, type BlockFrame } from './block.ts'

/** `frames` are those asked for, all kept as columns. */
export function storedBlock(
  block: Block,
  frames: readonly BlockFrame[],
  schema: Schema | undefined,
): StoredBlock {
  const { source, stream, epoch } = block
  // The statistics count all samples, and so do not say what some frames add to them.
  const isWhole = frames.reduce((sum, { count }) => sum + count, 0) === block.samples
  return {
    source,
    stream,
    epoch,
    frames,
    firstUs: frames.reduce((least, { firstUs }) => Math.min(least, firstUs), Infinity),
    lastUs: frames.reduce((most, { lastUs }) => Math.max(most, lastUs), 0),
    samples: (i) => samplesOf(block, frames[i]!, schema),
    cells: (everyUs) =>
      isWhole && schema !== undefined ? cellsWithin(block, everyUs, schema) : undefined,
  }
}

function samplesOf(
  block: Block,
  { sampleAt, count }: BlockFrame,
  schema: Schema | undefined,
): readonly Sample[] | string {
  if (schema === undefined) return `schema ${block.schemaId} is not known here`
  const samples = blockSamples(block, schema)
  if (samples === undefined) return 'the columns of its block do not hold them'
  return samples.slice(sampleAt, sampleAt + count)
}

function cellsWithin(block: Block, everyUs: number, schema: Schema): readonly Cell[] | undefined {
  const stepUs = block.cellSeconds * 1e6
  return stepUs > 0 && everyUs % stepUs === 0 ? blockStatistics(block, schema) : undefined
}
