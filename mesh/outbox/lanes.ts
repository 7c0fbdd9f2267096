// How far each lane got: the greatest sequence ever sealed in it, kept when its frames and their
// segments are long gone, so that the next life can write the lane's end frame behind it. Part of the
// live set; every segment's checkpoint holds all of it (docs/outbox-format.md §7).
//
// Invariant: `lastSequence` is exact, or the lane is uncertain. A lane is forgotten when nothing is
// left to do in it: its end is sealed, or uncertain, and none of its frames is live.
import type { FrameName } from '../frame.ts'
import { type Lane, type LaneKey, parseLaneKey } from '../names.ts'
import type { LaneRecord } from './records.ts'

export interface RecoveredLane extends Lane {
  /** The greatest sequence ever sealed in it; when uncertain, of those that are known. */
  readonly lastSequence: number
  /** Its end frame has been sealed: nothing may follow. */
  readonly ended: boolean
  /** Greater sequences may have been sealed, and sent, and lost here: it cannot be given an end. */
  readonly uncertain: boolean
}

/** A lane of the table; the live frames in it point here. */
export interface LaneState {
  readonly key: LaneKey
  lastSequence: number
  ended: boolean
  uncertain: boolean
  liveFrames: number
}

export class LaneTable {
  private readonly lanes = new Map<LaneKey, LaneState>()

  get size(): number {
    return this.lanes.size
  }

  /** Notes that a name was given, and returns its lane. */
  seal({ key, sequence, isEnd }: FrameName): LaneState {
    const lane = this.lane(key)
    if (sequence > lane.lastSequence) lane.lastSequence = sequence
    if (isEnd) lane.ended = true
    return lane
  }

  /** One live frame of the lane less: forgets the lane when that was the last thing in it. */
  leave(lane: LaneState): void {
    lane.liveFrames -= 1
    this.forgetFinished(lane)
  }

  /** Takes a checkpoint's word for all lanes. */
  replace(records: readonly LaneRecord[]): void {
    const listed = new Set<LaneKey>()
    for (const { key, lastSequence, ended, uncertain } of records) {
      listed.add(key)
      Object.assign(this.lane(key), { lastSequence, ended, uncertain })
    }
    for (const { key } of this.lanes.values()) if (!listed.has(key)) this.lanes.delete(key)
  }

  /** After a replay. `isExact`: no seal can have been lost since the last checkpoint. */
  settle(isExact: boolean): void {
    for (const lane of this.lanes.values()) {
      if (!isExact && !lane.ended) lane.uncertain = true
      this.forgetFinished(lane)
    }
  }

  records(): LaneRecord[] {
    return [...this.lanes.values()]
  }

  list(): RecoveredLane[] {
    return this.records().map(({ key, lastSequence, ended, uncertain }) => {
      return { ...parseLaneKey(key), lastSequence, ended, uncertain }
    })
  }

  private lane(key: LaneKey): LaneState {
    let lane = this.lanes.get(key)
    if (lane === undefined) {
      lane = { key, lastSequence: 0, ended: false, uncertain: false, liveFrames: 0 }
      this.lanes.set(key, lane)
    }
    return lane
  }

  private forgetFinished(lane: LaneState): void {
    if (lane.liveFrames === 0 && (lane.ended || lane.uncertain)) this.lanes.delete(lane.key)
  }
}
