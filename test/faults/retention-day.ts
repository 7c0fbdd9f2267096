// 24 simulated hours of retention: the clocks of all processes jump from hour to hour, with load in each, and
// what is older than its age goes. One store is away from the morning to the evening, and comes back with
// hours on its disk that all others have let go. Within the age nothing may be missing; what is beyond it is
// told as trimmed, is on no disk, and never comes back.
import { statSync } from 'node:fs'
import { eventually } from '../../mesh/conformance/eventually.ts'
import { systemClock } from '../../mesh/index.ts'
import type { StoragePeer } from '../harness/storage-peer.ts'
import { filesOf } from './disk-contents.ts'
import { DiskShim } from './disk-shim.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import type { Mark } from './ledger.ts'
import { Rig } from './rig.ts'

const HOUR_US = 3_600_000_000
const HOURS = 24
const AGE_HOURS = 6
/** The victim is away from the one to the other. */
const DOWN_AT = 4
const UP_AT = 14
const SAMPLES_AN_HOUR = 60
/** The age, the hour being written, and the one that is over and not yet looked at. */
const BUCKETS_MAX = AGE_HOURS + 2

export const retentionDay: Fault = {
  name: 'retention-day',
  title: `${HOURS} simulated hours of retention, with a store away for ${UP_AT - DOWN_AT} of them`,
  plants: ['trims-early'],
  runs: 1,
  unavailable: () => DiskShim.unavailable(),
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options, {
    settings: ['storage.bucket=1h', `storage.retention.age=${AGE_HOURS}h`],
    prepare: (store, its) => its.shim(store),
  })
  const { ledger } = rig.load
  const victim = rig.store(1 + Math.floor(rig.random.next() * 2))
  await rig.passToBucket(HOUR_US)
  /** What was acknowledged when an hour began. */
  const marks: Mark[] = [ledger.mark()]
  let completeFromMs = 0
  let bytesMax = 0
  for (let hour = 1; hour <= HOURS; hour++) {
    // So that each frame is of one hour only.
    await rig.load.stop()
    rig.passTime(HOUR_US)
    marks.push(ledger.mark())
    rig.load.start()
    // The buckets that hold it ended an age ago, or later.
    ledger.mayBeGone = marks[Math.max(0, hour - AGE_HOURS)]!
    if (hour === DOWN_AT) await rig.kill(victim)
    await rig.load.ackedMore(SAMPLES_AN_HOUR)
    if (hour === (DOWN_AT + UP_AT) / 2) await rig.expectComplete(rig.others(victim)[0]!)
    if (hour === UP_AT) {
      completeFromMs = systemClock.monotonicMs()
      await victim.start()
      await rig.mesh.joined()
      await rig.counted(victim, completeFromMs)
    }
    bytesMax = Math.max(bytesMax, ...rig.mesh.stores.map((store) => segmentBytes(store)))
  }
  await eventually(
    () => rig.mesh.stores.every((store) => rig.bucketTimes(store).length <= BUCKETS_MAX),
    { what: 'old buckets are gone', deadlineMs: rig.patienceMs, everyMs: 50 },
  )
  await rig.whole(systemClock.monotonicMs())
  const gone = marks[HOURS - BUCKETS_MAX]!
  await expectGone(rig, gone)
  const frames = [...gone.lanes.values()].reduce((sum, runs) => sum + runs.size, 0)
  const happened =
    `${frames} of ${ledger.frames} frames trimmed everywhere, at most ${BUCKETS_MAX} buckets and ` +
    `${bytesMax} bytes of them on a disk`
  return await rig.outcome(happened, 1)
}

function segmentBytes(store: StoragePeer): number {
  const files = filesOf(store.directory, /\.(seg|blk)$/)
  return files.reduce(
    (sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0),
    0,
  )
}

/** On no disk, in no answer, and called trimmed. */
async function expectGone({ mesh, load }: Rig, mark: Mark): Promise<void> {
  for (const store of mesh.stores) {
    const held = load.ledger.holds(await store.digest(), mark)
    if (held > 0) throw new Error(`${store.name} holds ${held} frames that retention had to take`)
  }
  for (const stream of load.streams) {
    const { rows, coverage } = await mesh.ask({ kind: 'range', stream })
    const served = load.ledger.served(stream, rows, mark)
    if (served > 0) throw new Error(`${served} samples are served that retention had to take`)
    if (!coverage.complete || !coverage.gaps.some(({ trimmed }) => trimmed.length > 0)) {
      throw new Error('the answer does not say what was trimmed')
    }
  }
}
