// A store that is away for an hour. The hour is simulated: the clocks of all other processes, the publisher's
// too, go on in steps of some minutes, with load in between; the store comes back into that time.
import { systemClock } from '../../mesh/index.ts'
import { DiskShim } from './disk-shim.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

const MINUTE_US = 60_000_000
const STEP_MINUTES = 10
const AWAY_MINUTES = 60

export const hourAway: Fault = {
  name: 'hour-away',
  title: 'a store away for an hour of simulated time',
  plants: ['no-repair'],
  runs: 1,
  unavailable: () => DiskShim.unavailable(),
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options, {
    settings: ['storage.bucket=10m'],
    prepare: (store, its) => its.shim(store),
  })
  const { load } = rig
  const victim = rig.pick()
  await rig.kill(victim)
  const before = rig.bucketTimes(rig.others(victim)[0]!)
  const { samples } = load.ledger
  for (let minutes = STEP_MINUTES; minutes <= AWAY_MINUTES; minutes += STEP_MINUTES) {
    rig.passTime(STEP_MINUTES * MINUTE_US)
    await load.ackedMore(100)
  }
  const missed = load.ledger.samples - samples
  const after = rig.bucketTimes(rig.others(victim)[0]!)
  const passedMs = Math.max(...after) - Math.max(...before)
  if (passedMs < (AWAY_MINUTES - STEP_MINUTES) * 60_000) {
    throw new Error(`only ${passedMs} ms have passed for a store: the fault did not happen`)
  }
  const backMs = systemClock.monotonicMs()
  await victim.start()
  await rig.mesh.joined()
  await rig.whole(backMs)
  const happened = `${passedMs / 60_000} minutes passed in buckets of the others, ${missed} samples missed`
  return await rig.outcome(happened, 1)
}
