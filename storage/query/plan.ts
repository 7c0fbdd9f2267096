// Who is asked for what. Each source is read from one store where one has it all, which is the usual
// case; then that store is asked for everything it has, frames that arrived since included. Where no
// store has it all, the one that has most reads its runs and others the rest, each by name: runs
// named to one store are named to no other, so that nothing is read twice even if a store gains
// frames meanwhile.
import type { StoreId } from '../../mesh/index.ts'
import {
  andRuns,
  fromEpochRuns,
  minusRuns,
  sizeOf,
  toEpochRuns,
  type Holdings,
  type RunsByEpoch,
} from './holdings.ts'
import type { SourcePart } from './peer.ts'

/** What one store is asked for. */
export interface StorePart {
  readonly storeId: StoreId
  readonly parts: readonly SourcePart[]
}

/**
 * Divides `wanted` among the stores that still hold it. A wanted part without lanes may be read as
 * everything from one store; a part with lanes stays within them. What nobody holds is given up.
 * `prefer` wins ties; other ties are spread by name, the same in every run.
 */
export function planParts(
  holdings: Holdings,
  wanted: Iterable<SourcePart>,
  prefer?: StoreId,
): StorePart[] {
  const byStore = new Map<StoreId, SourcePart[]>()
  const assign = (storeId: StoreId, part: SourcePart): void => {
    const parts = byStore.get(storeId)
    if (parts === undefined) byStore.set(storeId, [part])
    else parts.push(part)
  }
  for (const { source, lanes } of wanted) {
    const whole = lanes === undefined ? wholeHolder(holdings, source, prefer) : undefined
    if (whole !== undefined) {
      assign(whole, { source })
      continue
    }
    let need = lanes === undefined ? new Map(holdings.knownRuns(source)) : fromEpochRuns(lanes)
    const candidates = new Map(holdings.holders(source))
    let mayTakeAll = lanes === undefined
    while (need.size > 0) {
      const best = bestHolder(source, need, candidates, prefer)
      if (best === undefined) break
      candidates.delete(best.storeId)
      const left = minusRuns(need, best.runs)
      if (mayTakeAll && left.size === 0) assign(best.storeId, { source })
      else assign(best.storeId, { source, lanes: toEpochRuns(best.runs) })
      mayTakeAll = false
      need = left
    }
    for (const [epoch, runs] of need) holdings.giveUp(source, epoch, runs)
  }
  return [...byStore].map(([storeId, parts]) => ({ storeId, parts }))
}

/** This is how nearly all sources are read, so it is found without a set being made. */
function wholeHolder(
  holdings: Holdings,
  source: string,
  prefer: StoreId | undefined,
): StoreId | undefined {
  let best: StoreId | undefined
  for (const storeId of holdings.wholeHolders(source)) {
    if (best === undefined || rankOf(storeId, source, prefer) > rankOf(best, source, prefer)) {
      best = storeId
    }
  }
  return best
}

/** Which of equal holders: the preferred one, else spread over the sources. */
function rankOf(storeId: StoreId, source: string, prefer: StoreId | undefined): number {
  return storeId === prefer ? Number.POSITIVE_INFINITY : mix(`${source}/${storeId}`)
}

/** The store that has most of what is needed, and what of it; undefined when none has any. */
function bestHolder(
  source: string,
  need: RunsByEpoch,
  candidates: ReadonlyMap<StoreId, RunsByEpoch>,
  prefer: StoreId | undefined,
): { storeId: StoreId; runs: RunsByEpoch } | undefined {
  let best: { storeId: StoreId; runs: RunsByEpoch; size: number; rank: number } | undefined
  for (const [storeId, held] of candidates) {
    const runs = andRuns(need, held)
    const size = sizeOf(runs)
    if (size === 0 || (best !== undefined && size < best.size)) continue
    const rank = rankOf(storeId, source, prefer)
    if (best === undefined || size > best.size || rank > best.rank) {
      best = { storeId, runs, size, rank }
    }
  }
  return best
}

/** FNV-1a: spreads equal holders over the sources; nothing depends on its quality. */
function mix(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  }
  return hash
}
