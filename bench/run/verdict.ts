// Whether a run counts. A run that lost something, repeated something, was not paced as planned or did
// not keep the tier it claims says nothing about how fast a system is.
import type { Run } from '../result.ts'
import type { Cell } from './run.ts'

/** Beyond this the plan was not carried out: not the system is slow, the generator is. */
const LAG_P99_US_MAX = 5_000
/** Of what is offered, that must be taken while it is offered. */
const SUSTAINED_SHARE = 0.97
/** A system that syncs now and then does it this often; one that syncs before receipts does it more. */
const LAZY_FSYNCS_PER_SECOND = 50
/** More of the machine than this went elsewhere. */
const STEAL_MAX = 0.05

type Judged = Omit<Run, 'voids' | 'isSustained'>

export function isSustained({
  load,
  live,
  receipt,
  publishedPerSecond,
  receiptsPerSecond,
}: Judged): boolean {
  if (load.rate === undefined) return true
  if (publishedPerSecond < load.rate * SUSTAINED_SHARE) return false
  const hasReceipts = receipt !== undefined
  if (hasReceipts && receiptsPerSecond < publishedPerSecond * SUSTAINED_SHARE) return false
  // A queue that grows all along ends with half of the window's length at the median.
  const slow = (load.seconds * 1e6) / 4
  return (live?.p50 ?? 0) < slow && (receipt?.p50 ?? 0) < slow
}

/** `lostWhy`: what the client said of samples it gave up. */
export function voidsOf(
  run: Judged,
  { system, lagP99UsMax = LAG_P99_US_MAX }: Pick<Cell, 'system' | 'lagP99UsMax'>,
  lostWhy: string | undefined,
  mayLose = false,
): string[] {
  const { persists, syncsAnyway = false } = system
  const { counts, cost, lag, setting, load } = run
  const voids: string[] = []
  if (counts.lost > 0 && !mayLose) {
    voids.push(`${counts.lost} samples lost${lostWhy === undefined ? '' : ` (${lostWhy})`}`)
  }
  if (counts.duplicates > 0 && !mayLose) voids.push(`${counts.duplicates} samples delivered twice`)
  if (lag !== undefined && lag.p99 > lagP99UsMax) {
    voids.push(`the generator was late: p99 ${Math.round(lag.p99 / 1000)} ms behind its plan`)
  }
  if (cost.stealShare > STEAL_MAX) {
    voids.push(`${Math.round(cost.stealShare * 100)} % of the machine was given to others`)
  }
  if (persists && load.publishers > 0) {
    const mismatch = tierMismatch(run, syncsAnyway)
    if (mismatch !== undefined) voids.push(`${setting.tier} is not what it did: ${mismatch}`)
  }
  return voids
}

/** From the fsyncs that the kernel counted; undefined when they fit, or were not counted. */
function tierMismatch(
  { setting, cost, receiptsPerSecond, load }: Judged,
  syncsAnyway: boolean,
): string | undefined {
  const { fsyncs, seconds } = cost
  if (fsyncs === undefined) return undefined
  const perSecond = fsyncs / seconds
  if (setting.tier !== 'synced') {
    if (syncsAnyway || perSecond <= LAZY_FSYNCS_PER_SECOND * setting.copies) return undefined
    return `${Math.round(perSecond)} fsyncs/s`
  }
  // Each fsync can vouch for no more than what was in flight.
  const least = (receiptsPerSecond * seconds * setting.copies) / (IN_FLIGHT_MAX * load.publishers)
  if (receiptsPerSecond === 0 || fsyncs >= Math.max(1, Math.floor(least))) return undefined
  return `${fsyncs} fsyncs for ${Math.round(receiptsPerSecond * seconds)} receipts`
}

const IN_FLIGHT_MAX = 200_000
