// A store whose disk is gone: it comes back empty under another id, must not count before it is refilled, and
// must have all that it owns in the end.
import { eventually } from '../../mesh/conformance/eventually.ts'
import { systemClock } from '../../mesh/index.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

export const wipedStore: Fault = {
  name: 'wiped-store',
  title: 'a store that lost its disk',
  plants: ['no-repair'],
  runs: 1,
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options)
  const { load } = rig
  // Not the founder, which has nobody but itself to ask whether there is a mesh.
  const [helper, victim, other] = rig.mesh.stores
  await load.ackedMore(1_000)
  await rig.kill(victim!)
  victim!.wipe()
  rig.gone.add(rig.storeIdOf(victim!))
  // The others are cut down to one, so that it cannot be refilled, and must not count.
  await rig.kill(other!)
  await victim!.start()
  await eventually(
    async () => (await victim!.digest({ sources: ['-'] })).notCounted !== undefined,
    {
      what: 'the store without its disk does not count',
    },
  )
  await rig.expectIncomplete(helper!)
  const backMs = systemClock.monotonicMs()
  await other!.start()
  await rig.mesh.joined()
  await rig.whole(backMs)
  const newId = await victim!.storeId()
  if (rig.gone.has(newId)) throw new Error('a new disk has the id of the old one')
  return await rig.outcome('back as another store, not counted while it was empty', 1)
}
