// A block: many frames of one lane, rewritten as a few long columns once their bucket is closed. The
// idea that keeps the contract simple: every frame comes back bit for bit. Our columnar encoder makes
// the same bytes of the same samples, so of most frames a block keeps the name, the count and the
// samples, and puts the frame together again when it is asked for; any other it keeps verbatim. So
// repair, duplicates and conflicts meet nothing but original frames. Pure functions over bytes; which
// frames make a block, and where it lies, is decided elsewhere. Byte for byte in
// docs/storage-format.md, "Blocks".
export { encodeBlock } from './block-write.ts'
export { blockFrame, blockSamples, blockStatistics, readBlock } from './block-read.ts'
export type { Block, BlockFrame } from './block-read.ts'
export type { BlockFault } from './block-format.ts'
