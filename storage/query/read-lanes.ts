// Reads named frames for another store: many lanes, a few or all of their frames each.
import { IntervalSet, laneKey } from '../../mesh/index.ts'
import type { FrameStore, StoredFrame } from '../frame-store.ts'
import type { LaneRuns } from './peer.ts'

/** Frames handed on together: what is worth a write to the network. */
const PAGE_BYTES = 256 << 10

/** Those of the frames that are held and can be read, some at a time. */
export async function* readLanes(
  store: FrameStore,
  lanes: readonly LaneRuns[],
): AsyncGenerator<readonly StoredFrame[]> {
  let page: StoredFrame[] = []
  let bytes = 0
  for (const { source, stream, epoch, runs } of lanes) {
    const key = laneKey(source, stream, epoch)
    for (const [from, to] of new IntervalSet(runs)) {
      for await (const stored of store.read(key, from, to)) {
        page.push(stored)
        bytes += stored.frame.bytes.length
        if (bytes < PAGE_BYTES) continue
        yield page
        page = []
        bytes = 0
      }
    }
  }
  if (page.length > 0) yield page
}
