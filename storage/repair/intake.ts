// Hands repair's frames to the writer beside the live ones. The writer reports whole batches, in the order
// frames were offered; frames without an origin are repair's. What repair has waiting is bounded, and a
// writer that is full of live traffic makes it wait: live traffic goes first.
import type { Frame } from '../../mesh/index.ts'
import type { StoredFrame } from '../frame-store.ts'
import type { Outcome } from '../writer.ts'

/** As much of a Writer as is needed. */
export interface FrameTaker {
  offer(frame: Frame, origin: undefined, ingestUs: number): 'queued' | 'full' | 'refused'
  settled(): Promise<void>
}

/** As much of a CommitResult as is needed. */
export interface Settled {
  readonly outcome: Outcome
  readonly origin: unknown
  readonly frame: Pick<Frame, 'bytes'>
}

export interface IntakeCounters {
  pulledFrames: number
  pulledBytes: number
  conflicts: number
  refusedFrames: number
}

export class RepairIntake {
  readonly counters: IntakeCounters = {
    pulledFrames: 0,
    pulledBytes: 0,
    conflicts: 0,
    refusedFrames: 0,
  }
  private readonly writer: () => FrameTaker
  private readonly bytesMax: number
  /** Offered and not yet reported. */
  private waitingFrames = 0
  private waitingBytes = 0
  private batch = Promise.withResolvers<void>()
  private tellBatch: () => void = () => undefined

  /**
   * A function, since the writer is made with a callback that ends in `committed` below. `bytesMax`:
   * what repair may have waiting; its share of the writer's queue is its share of the disk.
   */
  constructor(writer: () => FrameTaker, bytesMax: number) {
    this.writer = writer
    this.bytesMax = bytesMax
  }

  /** Takes a copy of the frame; `full`: nothing was taken, come again when there is room. */
  offer({ frame, ingestUs }: StoredFrame): 'queued' | 'full' | 'refused' {
    const { length } = frame.bytes
    if (this.waitingBytes > 0 && this.waitingBytes + length > this.bytesMax) return 'full'
    const answer = this.writer().offer(frame, undefined, ingestUs)
    if (answer === 'queued') {
      this.waitingFrames += 1
      this.waitingBytes += length
    } else if (answer === 'refused') {
      this.counters.refusedFrames += 1
    }
    return answer
  }

  /** Who hears of each batch the writer reports, once it is counted. */
  onBatch(listener: () => void): void {
    this.tellBatch = listener
  }

  /** Resolves when it is worth offering again after `full`. */
  async room(): Promise<void> {
    if (this.waitingFrames > 0) await this.batch.promise
    // Full of live traffic alone.
    else await this.writer().settled()
  }

  /** Resolves when everything offered has been reported. */
  async settled(): Promise<void> {
    while (this.waitingFrames > 0) await this.batch.promise
  }

  /** Call it with each batch's results, as the writer reports them. */
  committed(results: readonly Settled[]): void {
    const { counters } = this
    for (const { origin, outcome, frame } of results) {
      if (origin !== undefined || this.waitingFrames === 0) continue
      this.waitingFrames -= 1
      this.waitingBytes -= frame.bytes.length
      if (outcome === 'stored') {
        counters.pulledFrames += 1
        counters.pulledBytes += frame.bytes.length
      } else if (outcome === 'conflict') {
        counters.conflicts += 1
      } else if (outcome === 'refused') {
        counters.refusedFrames += 1
      }
    }
    this.tellBatch()
    const { resolve } = this.batch
    this.batch = Promise.withResolvers()
    resolve()
  }
}
