// Runs that no frame will fill travel along with repair: a store that was away or lost its disk learns
// what retention has removed and what publishers dropped, so that its holes are explained and nothing
// that is gone is asked for, or handed out, ever again.
import type { IntervalSet } from '../../mesh/index.ts'
import type { FrameStore, Gone } from '../frame-store.ts'
import type { KnownLane, KnownPeer } from './known.ts'

/** Lanes learned at the same time: stores write them together. */
const LANES_AT_ONCE = 256

/**
 * Takes over what the stores that answered know to be gone, of the shards owned and of lanes that are
 * here anyway. On disk when it resolves.
 */
export async function learnGone(
  store: FrameStore,
  owned: ReadonlySet<number>,
  answered: readonly KnownPeer[],
): Promise<void> {
  let learning: Promise<void>[] = []
  for (const peer of answered) {
    for (const lane of peer.lanes()) {
      if (!owned.has(lane.shard) && store.lane(lane.key) === undefined) continue
      const gone = newlyGone(store, lane, answered)
      if (gone === undefined) continue
      learning.push(store.learnGone(lane, gone))
      if (learning.length < LANES_AT_ONCE) continue
      await Promise.all(learning)
      learning = []
    }
  }
  await Promise.all(learning)
}

/** What one of the stores that answered still holds is not gone: it is pulled. */
function newlyGone(
  store: FrameStore,
  lane: KnownLane,
  answered: readonly KnownPeer[],
): Gone | undefined {
  if (lane.trimmed.isEmpty && lane.skipped.isEmpty) return undefined
  const mine = store.lane(lane.key)
  let trimmed = minus(lane.trimmed, mine?.trimmed, mine?.held)
  let skipped = minus(lane.skipped, mine?.skipped, mine?.held)
  // An end frame that somebody holds comes by itself.
  const { ended = 0 } = lane
  const endIsNews = mine?.ended === undefined && lane.trimmed.has(ended)
  if (trimmed.isEmpty && skipped.isEmpty && !endIsNews) return undefined
  const held = answered.map((peer) => peer.lane(lane)?.held)
  trimmed = minus(trimmed, ...held)
  skipped = minus(skipped, ...held)
  if (trimmed.isEmpty && skipped.isEmpty && !endIsNews) return undefined
  return { trimmed, skipped, ended: endIsNews ? ended : 0, lastIngestUs: lane.lastIngestUs }
}

function minus(runs: IntervalSet, ...others: readonly (IntervalSet | undefined)[]): IntervalSet {
  let left = runs
  for (const other of others) if (other !== undefined && !left.isEmpty) left = left.minus(other)
  return left
}
