// What an answer saw and what it did not (architecture.md §4.5, docs/delivery.md §7). A hole is a
// sequence below the greatest known of its lane that no answering store holds. It is closed when its
// publisher said it was skipped, or when its lane ended or has been silent for a day (lost); else it
// is missing. What a store holds but nobody could read is unreachable.
import { IntervalSet, type Epoch, type StoreId } from '../../mesh/index.ts'
import type { Coverage, LaneDigest, LaneGap } from '../coverage.ts'

/** A lane that has brought nothing for this long is taken as ended: 24 hours. */
export const SILENT_US = 86_400_000_000

export interface CoverageFacts {
  readonly answers: readonly {
    readonly storeId: StoreId
    readonly lanes: readonly LaneDigest[]
    readonly notCounted?: string | undefined
  }[]
  /** The mesh's stores, as the union of the answering stores' tables. */
  readonly members: ReadonlySet<StoreId>
  readonly writeQuorum: number
  /** Known frames that could not be read from any store. */
  readonly givenUp: (source: string, epoch: Epoch) => IntervalSet
  /** Stores asked and not heard, by id or address, with the reason in words. */
  readonly failures: ReadonlyMap<string, string>
  /** What went wrong while reading, in words. */
  readonly troubles: readonly string[]
  readonly nowUs: number
}

/** All that is known of one lane, over every store that answered. */
interface LaneView {
  readonly source: string
  readonly stream: string
  readonly epoch: Epoch
  readonly held: IntervalSet
  readonly skipped: IntervalSet
  readonly trimmed: IntervalSet
  ended: number | undefined
  lastIngestUs: number
}

export function coverageOf(facts: CoverageFacts): Coverage {
  const lanes = mergeLanes(facts.answers.map((answer) => answer.lanes))
  const gaps: LaneGap[] = []
  let frames = 0
  for (const lane of lanes.values()) {
    const unreachable = facts.givenUp(lane.source, lane.epoch)
    frames += lane.held.minus(unreachable).size
    const gap = gapOf(lane, unreachable, facts.nowUs)
    if (gap !== undefined) gaps.push(gap)
  }
  const members = facts.members.size
  const needed = members - facts.writeQuorum + 1
  const counted = facts.answers.filter(
    (answer) => answer.notCounted === undefined && facts.members.has(answer.storeId),
  ).length
  const reasons = [
    ...quorumReasons(facts, counted, needed),
    ...gapReasons(gaps),
    ...(gaps.some((gap) => gap.unreachable.length > 0) ? facts.troubles : []),
  ]
  return {
    complete: reasons.length === 0,
    reasons,
    members,
    answered: facts.answers.length,
    needed,
    frames,
    lanes: lanes.size,
    gaps,
  }
}

function gapOf(lane: LaneView, unreachable: IntervalSet, nowUs: number): LaneGap | undefined {
  const { source, stream, epoch, held, skipped, trimmed } = lane
  const last = Math.max(held.last, skipped.last, trimmed.last, lane.ended ?? 0)
  const holes = held.gaps(last)
  if (holes.isEmpty && unreachable.isEmpty) return undefined
  const open = holes.minus(skipped).minus(trimmed)
  const closed = lane.ended !== undefined || nowUs - lane.lastIngestUs > SILENT_US
  return {
    source,
    stream,
    epoch,
    missing: closed ? [] : open.toRuns(),
    lost: closed ? open.toRuns() : [],
    skipped: holes.and(skipped).minus(trimmed).toRuns(),
    trimmed: holes.and(trimmed).toRuns(),
    unreachable: unreachable.toRuns(),
  }
}

function mergeLanes(digests: readonly (readonly LaneDigest[])[]): Map<string, LaneView> {
  const lanes = new Map<string, LaneView>()
  for (const digest of digests) {
    for (const lane of digest) {
      const key = `${lane.epoch}${lane.stream}/${lane.source}`
      const view = lanes.get(key)
      if (view === undefined) {
        lanes.set(key, {
          source: lane.source,
          stream: lane.stream,
          epoch: lane.epoch,
          held: new IntervalSet(lane.held),
          skipped: new IntervalSet(lane.skipped),
          trimmed: new IntervalSet(lane.trimmed),
          ended: lane.ended,
          lastIngestUs: lane.lastIngestUs,
        })
        continue
      }
      view.held.addAll(new IntervalSet(lane.held))
      view.skipped.addAll(new IntervalSet(lane.skipped))
      view.trimmed.addAll(new IntervalSet(lane.trimmed))
      view.ended ??= lane.ended
      view.lastIngestUs = Math.max(view.lastIngestUs, lane.lastIngestUs)
    }
  }
  return lanes
}

function quorumReasons(facts: CoverageFacts, counted: number, needed: number): string[] {
  const { answers, members, writeQuorum, failures } = facts
  if (members.size < writeQuorum) {
    return [
      `the mesh has ${members.size} member stores, fewer than the ${writeQuorum} a frame must be on`,
    ]
  }
  if (counted >= needed) return []
  const why = answers.flatMap(({ storeId, notCounted }) => {
    if (notCounted !== undefined) return [`store ${storeId} does not count: ${notCounted}`]
    return members.has(storeId) ? [] : [`store ${storeId} is not a member of the mesh`]
  })
  for (const [storeId, reason] of failures) why.push(`store ${storeId} did not answer: ${reason}`)
  return [
    `${counted} of ${members.size} stores answered and count, ${needed} are needed`,
    ...why.slice(0, 10),
  ]
}

function gapReasons(gaps: readonly LaneGap[]): string[] {
  const missing = gaps.reduce((sum, gap) => sum + new IntervalSet(gap.missing).size, 0)
  const unreachable = gaps.reduce((sum, gap) => sum + new IntervalSet(gap.unreachable).size, 0)
  const reasons: string[] = []
  if (missing > 0) {
    const lanes = gaps.filter((gap) => gap.missing.length > 0).length
    reasons.push(`${frameCount(missing)} of ${lanes} lanes are missing and may still arrive`)
  }
  if (unreachable > 0) {
    reasons.push(`${frameCount(unreachable)} could not be read from any store that answered`)
  }
  return reasons
}

function frameCount(count: number): string {
  return count === 1 ? '1 frame' : `${count} frames`
}
