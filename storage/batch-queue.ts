// Frames waiting to be written, already in the batches they will be written in. Each frame's bytes
// are copied once, into a slab shared with its neighbours, because what was offered may be a view
// into a network buffer. Slabs are used again once their batch is committed: new ones, at the speed of
// a disk, had V8 collect the whole heap several times a second.
import type { AckLevel, Frame } from '../mesh/index.ts'

export interface QueuedFrame<Origin> {
  readonly frame: Frame
  readonly ingestUs: number
  readonly origin: Origin | undefined
  /** What the origin wants to hear of. */
  readonly level: AckLevel
}

export interface Batch<Origin> {
  readonly frames: QueuedFrame<Origin>[]
  /** What the frames' bytes are in. */
  readonly slabs: Buffer[]
  bytes: number
}

/** Bounds of one write: it does not keep the event loop for long, and is in the caches still when it is written. */
const BATCH_BYTES_MAX = 1 << 20
const BATCH_FRAMES_MAX = 8192
const SLAB_BYTES = 1 << 20
/** Empty slabs kept: those of the full batches that may be under way. */
const SPARE_SLABS_MAX = 16

export class BatchQueue<Origin> {
  /** Bytes and frames of all batches. */
  bytes = 0
  length = 0
  private readonly full: Batch<Origin>[] = []
  private filling = newBatch<Origin>()
  private readonly spare: Buffer[] = []
  /** Bytes used of the last slab of `filling`. */
  private slabAt = 0

  push(frame: Frame, origin: Origin | undefined, ingestUs: number, level: AckLevel): void {
    const size = frame.bytes.length
    if (!hasRoom(this.filling, size)) {
      this.full.push(this.filling)
      this.filling = newBatch()
    }
    this.filling.frames.push({ frame: this.copy(frame), ingestUs, origin, level })
    this.filling.bytes += size
    this.bytes += size
    this.length += 1
  }

  /** Whether waiting longer would not make the next batch larger. */
  get hasFullBatch(): boolean {
    return this.full.length > 0
  }

  /** The oldest batch. */
  take(): Batch<Origin> {
    let batch = this.full.shift()
    if (batch === undefined) {
      batch = this.filling
      this.filling = newBatch()
    }
    this.bytes -= batch.bytes
    this.length -= batch.frames.length
    return batch
  }

  /** Nobody reads the frames of a batch that was taken any more. */
  recycle({ slabs }: Batch<Origin>): void {
    for (const slab of slabs) {
      if (this.spare.length < SPARE_SLABS_MAX) this.spare.push(slab)
    }
  }

  private copy(frame: Frame): Frame {
    const size = frame.bytes.length
    const { slabs } = this.filling
    let slab = slabs.at(-1)
    if (slab === undefined || this.slabAt + size > SLAB_BYTES) {
      slab = this.spare.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES)
      slabs.push(slab)
      this.slabAt = 0
    }
    const bytes = slab.subarray(this.slabAt, this.slabAt + size)
    this.slabAt += size
    bytes.set(frame.bytes)
    return new CopiedFrame(frame, bytes)
  }
}

const newBatch = <Origin>(): Batch<Origin> => ({ frames: [], slabs: [], bytes: 0 })

function hasRoom({ frames, bytes }: Batch<unknown>, size: number): boolean {
  if (frames.length === 0) return true
  return frames.length < BATCH_FRAMES_MAX && bytes + size <= BATCH_BYTES_MAX
}

/** A frame over its own bytes; the view of its body is made only when asked for. */
class CopiedFrame implements Frame {
  readonly kind: Frame['kind']
  readonly codec: Frame['codec']
  readonly sequence: number
  readonly firstUs: number
  readonly lastUs: number
  readonly count: number
  readonly schemaId: Frame['schemaId']
  readonly source: string
  readonly stream: string
  readonly epoch: Frame['epoch']
  readonly laneKey: Frame['laneKey']
  readonly crc: number
  readonly bytes: Buffer
  private readonly bodyBytes: number

  constructor(frame: Frame, bytes: Buffer) {
    this.kind = frame.kind
    this.codec = frame.codec
    this.sequence = frame.sequence
    this.firstUs = frame.firstUs
    this.lastUs = frame.lastUs
    this.count = frame.count
    this.schemaId = frame.schemaId
    this.source = frame.source
    this.stream = frame.stream
    this.epoch = frame.epoch
    this.laneKey = frame.laneKey
    this.crc = frame.crc
    this.bytes = bytes
    this.bodyBytes = frame.body.length
  }

  get body(): Buffer {
    return this.bytes.subarray(this.bytes.length - this.bodyBytes)
  }
}
