// Frames that are being written and are not held yet. The batches after theirs are sorted out meanwhile,
// and may repeat their names.
import type { Frame, LaneKey } from '../mesh/index.ts'
import type { StoredFrame } from './frame-store.ts'

interface Lane {
  /** Greatest sequence: what is beyond it is new, as most frames are. */
  last: number
  first: Frame
  /** Every frame by sequence; only from a lane's second frame on, which single samples never need. */
  all: Map<number, Frame> | undefined
}

export class UnderWay {
  private readonly lanes = new Map<LaneKey, Lane>()

  add(batch: readonly StoredFrame[]): void {
    for (const { frame } of batch) {
      const { laneKey, sequence } = frame
      const lane = this.lanes.get(laneKey)
      if (lane === undefined) {
        this.lanes.set(laneKey, { last: sequence, first: frame, all: undefined })
        continue
      }
      lane.all ??= new Map([[lane.first.sequence, lane.first]])
      lane.all.set(sequence, frame)
      if (sequence > lane.last) lane.last = sequence
    }
  }

  delete(batch: readonly StoredFrame[]): void {
    for (const { frame } of batch) {
      const { laneKey, sequence } = frame
      const all = this.lanes.get(laneKey)?.all
      all?.delete(sequence)
      if (all === undefined || all.size === 0) this.lanes.delete(laneKey)
    }
  }

  /** The frame of that name. */
  find({ laneKey, sequence }: Frame): Frame | undefined {
    const lane = this.lanes.get(laneKey)
    if (lane === undefined || sequence > lane.last) return undefined
    if (lane.all !== undefined) return lane.all.get(sequence)
    return lane.first.sequence === sequence ? lane.first : undefined
  }
}
