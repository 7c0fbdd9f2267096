// The blocks read last, by the thousand samples decoded once: whoever reads one frame of a block
// mostly reads the next one next.
import type { Block } from './block.ts'

/** A block decoded is some 250 KB. */
const BLOCKS_MAX = 128

export class BlockCache {
  /** Least recently used first. */
  private readonly blocks = new Map<string, Promise<Block | string>>()

  /** Forgets the blocks whose names begin so. */
  forget(begin: string): void {
    for (const name of this.blocks.keys()) if (name.startsWith(begin)) this.blocks.delete(name)
  }

  /** `name` tells a block from every other of the store. */
  get(name: string, read: () => Promise<Block | string>): Promise<Block | string> {
    let block = this.blocks.get(name)
    if (block === undefined) {
      block = read()
      const reading = block
      // What could not be read is tried again.
      const forget = (): void => {
        if (this.blocks.get(name) === reading) this.blocks.delete(name)
      }
      reading.then((result) => (typeof result === 'string' ? forget() : undefined), forget)
    }
    this.blocks.delete(name)
    this.blocks.set(name, block)
    for (const oldest of this.blocks.keys()) {
      if (this.blocks.size <= BLOCKS_MAX) break
      this.blocks.delete(oldest)
    }
    return block
  }
}
