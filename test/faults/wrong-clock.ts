// The clock of one store is an hour wrong: ahead, then behind. What it stores bears other times, and that is
// all: nothing is lost, repeated or called complete by mistake.
import { systemClock } from '../../mesh/index.ts'
import { DiskShim } from './disk-shim.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

const HOUR_US = 3_600_000_000
const HALF_HOUR_MS = 1_800_000

export const wrongClock: Fault = {
  name: 'wrong-clock',
  title: "a store's clock an hour ahead, then an hour behind",
  plants: ['no-repair'],
  runs: 2,
  unavailable: () => DiskShim.unavailable(),
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options, { settings: ['storage.bucket=1m'] })
  const { load } = rig
  const victim = rig.pick()
  const shim = rig.shim(victim)
  for (const shiftUs of [HOUR_US, -HOUR_US]) {
    await rig.kill(victim)
    // Node.js asks for the time of day once, when it starts.
    shim.shiftWallClock(shiftUs)
    await load.ackedMore(100)
    const backMs = systemClock.monotonicMs()
    await victim.start()
    await rig.mesh.joined()
    await rig.acknowledges(victim)
    await rig.counted(victim, backMs)
    const nowMs = Date.now()
    const isWrong = (ms: number): boolean =>
      shiftUs > 0 ? ms > nowMs + HALF_HOUR_MS : ms < nowMs - HALF_HOUR_MS
    if (!rig.bucketTimes(victim).some(isWrong)) {
      throw new Error('no bucket is an hour off: the fault did not happen')
    }
  }
  return await rig.outcome('buckets an hour ahead and an hour behind on its disk', 2)
}
