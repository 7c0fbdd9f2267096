// Frames on this disk that can no longer be read, until another copy has come or retention has taken
// them. How that is remembered over restarts is each bucket's own affair (segment-index.ts).
import { laneKey, parseLaneKey, type IntervalSet, type LaneKey } from '../../mesh/index.ts'
import type { DamagedFrame } from '../frame-store.ts'

type FrameName = Pick<DamagedFrame, 'source' | 'stream' | 'epoch' | 'sequence'>

export class DamageList {
  private readonly byName = new Map<string, DamagedFrame>()

  get isEmpty(): boolean {
    return this.byName.size === 0
  }

  add(frame: DamagedFrame): void {
    this.byName.set(nameOf(frame), frame)
  }

  addSequences(key: LaneKey, sequences: IntervalSet, reason: string): void {
    const { source, stream, epoch } = parseLaneKey(key)
    for (const [from, to] of sequences) {
      for (let sequence = from; sequence <= to; sequence++) {
        this.add({ source, stream, epoch, sequence, reason })
      }
    }
  }

  delete(frame: FrameName): void {
    this.byName.delete(nameOf(frame))
  }

  /** Keeps those for which this holds. */
  retain(holds: (key: LaneKey, sequence: number) => boolean): void {
    for (const [name, { source, stream, epoch, sequence }] of this.byName) {
      if (!holds(laneKey(source, stream, epoch), sequence)) this.byName.delete(name)
    }
  }

  list(): readonly DamagedFrame[] {
    return [...this.byName.values()]
  }
}

function nameOf({ stream, source, epoch, sequence }: FrameName): string {
  return `${stream}\0${source}\0${epoch}\0${sequence}`
}
