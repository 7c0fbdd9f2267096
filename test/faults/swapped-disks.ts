// Two stores that swap their data directories while both are down: a store id travels with its disk, so what
// one had acknowledged is now at the other's address, and must be found there and counted once.
import { renameSync } from 'node:fs'
import { systemClock } from '../../mesh/index.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

export const swappedDisks: Fault = {
  name: 'swapped-disks',
  title: 'two stores swap their data directories',
  plants: ['no-repair'],
  runs: 1,
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options)
  const { load } = rig
  const kept = rig.pick()
  const [one, two] = rig.others(kept)
  // They differ: one was away for a while.
  await rig.kill(two!)
  await load.ackedMore(300)
  await rig.kill(one!)
  await rig.expectIncomplete(kept)
  const aside = `${one!.directory}.aside`
  renameSync(one!.directory, aside)
  renameSync(two!.directory, one!.directory)
  renameSync(aside, two!.directory)
  const backMs = systemClock.monotonicMs()
  await Promise.all([one!.start(), two!.start()])
  await rig.mesh.joined()
  const ids = await Promise.all([one!.storeId(), two!.storeId()])
  if (ids[0] !== rig.storeIdOf(two!) || ids[1] !== rig.storeIdOf(one!)) {
    throw new Error('the store ids did not travel with the disks')
  }
  await load.ackedMore(100)
  await rig.whole(backMs)
  return await rig.outcome('both ids at the address of the other', 1)
}
