// Where history and live meet: each sample once, whichever of the two brings it first, and the knowledge
// whether something may still be missing between them. Nobody tells a new subscriber from which frame on
// it gets what is published; but frames are numbered in their lane, so it shows.
import { FRAME_SAMPLES_MAX } from '../../mesh/frame.ts'
import { IntervalSet, type LiveFrame, type Sample } from '../../mesh/index.ts'
import type { Row } from '../../storage/index.ts'

interface LaneSeam {
  /** Frames that came live, whole. */
  readonly live: IntervalSet
  /** The first of them. */
  liveFrom: number
  /** Frames that the stores gave, maybe in part. */
  readonly stored: IntervalSet
  /** What they gave of them, by place(). */
  readonly places: Set<number>
  /** Up to this time, µs, they have given every frame. */
  wholeUs: number
}

export class Seam {
  private readonly lanes = new Map<string, LaneSeam>()

  /** The samples of a live frame that the stores have not given. */
  takeLive({ source, epoch, sequence, samples }: LiveFrame): readonly Sample[] {
    const lane = this.lane(source, epoch)
    lane.live.add(sequence)
    lane.liveFrom = Math.min(lane.liveFrom, sequence)
    if (!lane.stored.has(sequence)) return samples
    return samples.filter((_, index) => !lane.places.has(place(sequence, index)))
  }

  /** Whether a row of the stores is new. */
  takeRow({ source, epoch, sequence, index, timeUs }: Row): boolean {
    const lane = this.lane(source, epoch)
    const at = place(sequence, index)
    if (lane.live.has(sequence) || lane.places.has(at)) return false
    lane.places.add(at)
    lane.stored.add(sequence)
    if (lane.stored.runCount === 1) lane.wholeUs = Math.max(lane.wholeUs, timeUs)
    return true
  }

  /** From when on the stores have to be asked again, event time in µs; undefined: nothing is missing. */
  openFromUs(): number | undefined {
    if (this.lanes.size === 0) return 0
    let fromUs = Infinity
    for (const lane of this.lanes.values()) {
      if (!isClosed(lane)) fromUs = Math.min(fromUs, lane.wholeUs)
    }
    return fromUs === Infinity ? undefined : fromUs
  }

  private lane(source: string, epoch: string): LaneSeam {
    const key = `${source} ${epoch}`
    let lane = this.lanes.get(key)
    if (lane === undefined) {
      const [live, stored] = [new IntervalSet(), new IntervalSet()]
      lane = { live, liveFrom: Infinity, stored, places: new Set(), wholeUs: 0 }
      this.lanes.set(key, lane)
    }
    return lane
  }
}

/** Names a sample in its lane. */
function place(sequence: number, index: number): number {
  return sequence * FRAME_SAMPLES_MAX + index
}

/** Live has begun, and without a hole it goes on from the first frame that the stores have, or that is. */
function isClosed({ live, liveFrom, stored }: LaneSeam): boolean {
  if (live.isEmpty) return false
  const [first] = stored
  const begin = Math.min(first?.[0] ?? 1, liveFrom)
  return (stored.or(live).runAt(begin)?.[1] ?? 0) >= liveFrom
}
