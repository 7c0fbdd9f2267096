// Memory for frames that wait for their acks, in slabs that are used again: V8 collects the whole heap
// each time some 64 MB of new buffers have outlived their first milliseconds, as such frames do.

const SLAB_BYTES = 256 * 1024
/** A larger frame gets a buffer of its own. */
const FRAME_BYTES_MAX = SLAB_BYTES / 4
/** Empty slabs kept for what comes next, and how much of the slabs may be empty before it is worth a look. */
const SPARE_BYTES = 16 << 20

interface Slab {
  readonly memory: Buffer
  /** Bytes handed out since it was last empty, and those of them that are still needed. */
  used: number
  needed: number
}

export class FrameSlabs {
  private readonly slabs = new Map<ArrayBufferLike, Slab>()
  private readonly spare: Slab[] = []
  private filling: Slab | undefined
  private needed = 0

  /** Memory for one frame, until it is released. */
  allocate(size: number): Buffer {
    if (size > FRAME_BYTES_MAX) return Buffer.allocUnsafeSlow(size)
    let slab = this.filling
    if (slab === undefined || slab.used + size > SLAB_BYTES) {
      slab = this.filling = this.spare.pop() ?? this.newSlab()
    }
    const at = slab.used
    slab.used += size
    slab.needed += size
    this.needed += size
    return slab.memory.subarray(at, slab.used)
  }

  /** Nobody reads the frame any more. One that was not allocated here is left alone. */
  release(frame: Buffer): void {
    const slab = this.slabs.get(frame.buffer)
    if (slab === undefined) return
    slab.needed -= frame.length
    this.needed -= frame.length
    if (slab.needed > 0) return
    slab.used = 0
    if (slab === this.filling) return
    if (this.spare.length * SLAB_BYTES < SPARE_BYTES) this.spare.push(slab)
    else this.slabs.delete(slab.memory.buffer)
  }

  /** What all slabs take. */
  get bytes(): number {
    return this.slabs.size * SLAB_BYTES
  }

  /** Whether few frames that stay hold the memory of many that are gone: time to move them. */
  get isSparse(): boolean {
    return this.bytes > 2 * this.needed + 2 * SPARE_BYTES
  }

  /** The frame, in another place when its slab is mostly empty. */
  moved(frame: Buffer): Buffer {
    const slab = this.slabs.get(frame.buffer)
    if (slab === undefined || slab === this.filling || slab.needed * 2 > SLAB_BYTES) return frame
    const copy = this.allocate(frame.length)
    copy.set(frame)
    this.release(frame)
    return copy
  }

  private newSlab(): Slab {
    const slab = { memory: Buffer.allocUnsafeSlow(SLAB_BYTES), used: 0, needed: 0 }
    this.slabs.set(slab.memory.buffer, slab)
    return slab
  }
}
