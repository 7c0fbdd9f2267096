// kill -9 while the directory of a new bucket is made, before its name is synced; then the store comes back,
// acknowledges frames in that bucket, and the power is cut. That the directory was there when it came back
// does not say that its name lasts.
import { eventually } from '../../mesh/conformance/eventually.ts'
import { systemClock } from '../../mesh/index.ts'
import { cutPower } from './cut-power.ts'
import { lanesOnDisk } from './disk-contents.ts'
import { DiskShim, type DiskEvent } from './disk-shim.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

/** Long enough that the store is back within the bucket. */
const SETTINGS = ['storage.bucket=8s', 'storage.compact=false']
/** To see the directory between its making and the sync of its name. */
const SYNC_US = 300_000

export const bucketMade: Fault = {
  name: 'bucket-made',
  title: 'kill -9 while a bucket is made, then a power cut in it',
  plants: ['no-sync'],
  runs: 1,
  unavailable: () => DiskShim.unavailable(),
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options, {
    settings: SETTINGS,
    prepare: (store, its) => its.shim(store),
  })
  const victim = rig.pick()
  const shim = rig.shim(victim)
  const before = shim.events().length
  shim.slowSyncs(SYNC_US)
  const made = await eventually(() => madeBucket(shim.events().slice(before)), {
    what: 'a bucket is made',
    deadlineMs: 30_000,
    everyMs: 5,
  })
  await rig.kill(victim)
  shim.slowSyncs(0)
  const isNamed = shim.events().some(({ kind, inode }, i) => {
    return i >= before && kind === 'D' && inode === made.directory
  })
  if (isNamed) throw new Error('the name was synced: the store was killed too late')
  await victim.start()
  await rig.mesh.joined()
  await rig.acknowledges(victim)
  await rig.kill(victim)
  const cut = cutPower(victim.directory, shim.events())
  rig.expectKept(victim, await lanesOnDisk(victim.directory))
  const backMs = systemClock.monotonicMs()
  await victim.start()
  await rig.mesh.joined()
  await rig.whole(backMs)
  const happened = `killed before the name of bucket ${made.name} was synced; ${cut.names} names taken later`
  return await rig.outcome(happened, 1)
}

/** The last directory of a bucket that was made, if its name is not synced yet. */
function madeBucket(events: readonly DiskEvent[]): DiskEvent | undefined {
  const at = events.findLastIndex(({ kind, name }) => kind === 'M' && /^\d{10,}$/.test(name!))
  const made = events[at]
  const isNamed = events
    .slice(at)
    .some(({ kind, inode }) => kind === 'D' && inode === made?.directory)
  return isNamed ? undefined : made
}
