// Frames that are being written and are not held yet. The batches after theirs are sorted out meanwhile,
// and may repeat their names.
import type { Frame, LaneKey } from '../mesh/index.ts'
import type { StoredFrame } from './frame-store.ts'

export class UnderWay {
  private readonly batches = new Set<readonly StoredFrame[]>()
  /** Of each lane how many frames, and the greatest sequence: what is beyond it is new, as most are. */
  private readonly lanes = new Map<LaneKey, { frames: number; last: number }>()

  add(batch: readonly StoredFrame[]): void {
    this.batches.add(batch)
    for (const { frame } of batch) {
      const { laneKey, sequence } = frame
      const lane = this.lanes.get(laneKey)
      if (lane === undefined) {
        this.lanes.set(laneKey, { frames: 1, last: sequence })
        continue
      }
      lane.frames += 1
      if (sequence > lane.last) lane.last = sequence
    }
  }

  delete(batch: readonly StoredFrame[]): void {
    this.batches.delete(batch)
    for (const { frame } of batch) {
      const lane = this.lanes.get(frame.laneKey)!
      lane.frames -= 1
      if (lane.frames === 0) this.lanes.delete(frame.laneKey)
    }
  }

  /** The frame of that name. */
  find({ laneKey, sequence }: Frame): Frame | undefined {
    const lane = this.lanes.get(laneKey)
    if (lane === undefined || sequence > lane.last) return undefined
    for (const batch of this.batches) {
      const found = batch.find(
        ({ frame }) => frame.sequence === sequence && frame.laneKey === laneKey,
      )
      if (found !== undefined) return found.frame
    }
    return undefined
  }
}
