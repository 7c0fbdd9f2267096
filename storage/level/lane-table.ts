// Every lane of a store, found by its key and by its source and stream.
import type { LaneKey } from '../../mesh/index.ts'
import { LaneState } from './lane-state.ts'

export class LaneTable {
  /** Grows with every change of what is held. */
  version = 0
  private readonly byKey = new Map<LaneKey, LaneState>()
  private readonly bySource = new Map<string, LaneState[]>()

  get(key: LaneKey): LaneState | undefined {
    return this.byKey.get(key)
  }

  /** The lane, made when it is new. */
  take(key: LaneKey): LaneState {
    let lane = this.byKey.get(key)
    if (lane !== undefined) return lane
    lane = new LaneState(key)
    this.byKey.set(key, lane)
    const source = sourceKey(lane.stream, lane.source)
    const others = this.bySource.get(source)
    if (others === undefined) this.bySource.set(source, [lane])
    else others.push(lane)
    return lane
  }

  /** The lanes of one source and stream, one for each epoch. */
  of(stream: string, source: string): readonly LaneState[] {
    return this.bySource.get(sourceKey(stream, source)) ?? []
  }

  /** What is held of the lane has changed. */
  changed(lane: LaneState): void {
    this.version += 1
    lane.changedAt = this.version
  }

  /** Forgets a lane of which nothing is held. */
  delete({ key, stream, source }: LaneState): void {
    this.byKey.delete(key)
    const name = sourceKey(stream, source)
    const others = this.of(stream, source).filter((lane) => lane.key !== key)
    if (others.length === 0) this.bySource.delete(name)
    else this.bySource.set(name, others)
  }

  values(): IterableIterator<LaneState> {
    return this.byKey.values()
  }
}

function sourceKey(stream: string, source: string): string {
  return `${stream}\0${source}`
}
