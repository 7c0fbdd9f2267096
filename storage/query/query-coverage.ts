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
  const lanes = groupedByLane(facts.answers.map((answer) => answer.lanes))
  const gaps: LaneGap[] = []
  let frames = 0
  for (const digests of lanes) {
    const { source, epoch } = digests[0]!
    const unreachable = facts.givenUp(source, epoch)
    const whole = unreachable.isEmpty ? wholeLane(digests) : undefined
    if (whole !== undefined) {
      frames += whole
      continue
    }
    const lane = mergedLane(digests)
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
    lanes: lanes.length,
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

/** What the stores say of each lane. */
function groupedByLane(answers: readonly (readonly LaneDigest[])[]): LaneDigest[][] {
  // One store says everything once.
  if (answers.length === 1) return answers[0]!.map((lane) => [lane])
  const lanes = new Map<string, LaneDigest[]>()
  for (const lane of answers.flat()) {
    const key = `${lane.epoch}${lane.stream}/${lane.source}`
    const others = lanes.get(key)
    if (others === undefined) lanes.set(key, [lane])
    else others.push(lane)
  }
  return [...lanes.values()]
}

/** How many frames a lane has of which one store holds all that any knows: nearly every lane. */
function wholeLane(digests: readonly LaneDigest[]): number | undefined {
  let last = 0
  for (const { held, skipped, trimmed, ended = 0 } of digests) {
    last = Math.max(last, ended, held.at(-1) ?? 0, skipped.at(-1) ?? 0, trimmed.at(-1) ?? 0)
  }
  const isWhole = digests.some(({ held }) => held.length === 2 && held[0] === 1 && held[1] === last)
  return isWhole ? last : undefined
}

function mergedLane(digests: readonly LaneDigest[]): LaneView {
  const { source, stream, epoch } = digests[0]!
  const view: LaneView = {
    source,
    stream,
    epoch,
    held: new IntervalSet(),
    skipped: new IntervalSet(),
    trimmed: new IntervalSet(),
    ended: undefined,
    lastIngestUs: 0,
  }
  for (const lane of digests) {
    view.held.addAll(new IntervalSet(lane.held))
    view.skipped.addAll(new IntervalSet(lane.skipped))
    view.trimmed.addAll(new IntervalSet(lane.trimmed))
    view.ended ??= lane.ended
    view.lastIngestUs = Math.max(view.lastIngestUs, lane.lastIngestUs)
  }
  return view
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
