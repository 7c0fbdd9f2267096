// Lets repair wait for its frames: the writer takes frames without a promise each and reports whole
// batches; here the two are matched by the frame's name.
import type { Frame, LaneKey } from '../mesh/index.ts'
import type { StoredFrame } from './frame-store.ts'
import type { Outcome } from './writer.ts'

/** As much of a Writer as is needed; repair's frames have no origin. */
export interface FrameTaker {
  offer(frame: Frame, origin: undefined, ingestUs: number): 'queued' | 'full' | 'refused'
}

/** As much of a CommitResult as is needed. */
export interface Settled {
  readonly outcome: Outcome
  readonly laneKey: LaneKey
  readonly sequence: number
  readonly origin: unknown
}

export class RepairIntake {
  private readonly writer: () => FrameTaker
  private readonly waiting = new Map<string, ((outcome: Outcome) => void)[]>()

  /** A function, since the writer is made with a callback that ends in `committed` below. */
  constructor(writer: () => FrameTaker) {
    this.writer = writer
  }

  /** A full writer counts as refused: live traffic goes first, and repair comes back. */
  async keep({ frame, ingestUs }: StoredFrame): Promise<Outcome> {
    if (this.writer().offer(frame, undefined, ingestUs) !== 'queued') return 'refused'
    const { promise, resolve } = Promise.withResolvers<Outcome>()
    const name = nameOf(frame)
    const others = this.waiting.get(name)
    if (others === undefined) this.waiting.set(name, [resolve])
    else others.push(resolve)
    return await promise
  }

  /** Call it with each batch's results, as the writer reports them. */
  committed(results: readonly Settled[]): void {
    if (this.waiting.size === 0) return
    for (const result of results) {
      if (result.origin !== undefined) continue
      const name = nameOf(result)
      const resolvers = this.waiting.get(name)
      resolvers?.shift()?.(result.outcome)
      if (resolvers?.length === 0) this.waiting.delete(name)
    }
  }
}

function nameOf({ laneKey, sequence }: { laneKey: LaneKey; sequence: number }): string {
  return `${sequence}/${laneKey}`
}
