// Frames waiting to be written, already in the batches they will be written in. Each frame's bytes
// are copied once, into a slab shared with its neighbours, because what was offered may be a view
// into a network buffer. A slab is never reused: it is garbage when the last of its frames is, so a
// frame may be kept after its commit, at the price of its slab.
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
  bytes: number
}

/** Bounds of one commit: what is worth one fdatasync and does not keep the event loop for long. */
const BATCH_BYTES_MAX = 4 << 20
const BATCH_FRAMES_MAX = 8192
const SLAB_BYTES = 1 << 20

export class BatchQueue<Origin> {
  /** Bytes and frames of all batches. */
  bytes = 0
  length = 0
  private readonly full: Batch<Origin>[] = []
  private filling: Batch<Origin> = { frames: [], bytes: 0 }
  private slab = Buffer.alloc(0)
  private slabAt = 0

  push(frame: Frame, origin: Origin | undefined, ingestUs: number, level: AckLevel): void {
    const size = frame.bytes.length
    if (!hasRoom(this.filling, size)) {
      this.full.push(this.filling)
      this.filling = { frames: [], bytes: 0 }
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
      this.filling = { frames: [], bytes: 0 }
    }
    this.bytes -= batch.bytes
    this.length -= batch.frames.length
    return batch
  }

  private copy(frame: Frame): Frame {
    const size = frame.bytes.length
    if (this.slabAt + size > this.slab.length) {
      this.slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, size))
      this.slabAt = 0
    }
    const bytes = this.slab.subarray(this.slabAt, this.slabAt + size)
    this.slabAt += size
    bytes.set(frame.bytes)
    return new CopiedFrame(frame, bytes)
  }
}

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
