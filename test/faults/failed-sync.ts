// Syncs that fail with EIO, switched on under load: the store must say so and acknowledge nothing of the
// batch that failed, nor anything after it, until syncs work again and it has looked at its disk.
import { join } from 'node:path'
import { eventually } from '../../mesh/conformance/eventually.ts'
import { systemClock } from '../../mesh/index.ts'
import { DiskShim, type DiskEvent } from './disk-shim.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

export const failedSync: Fault = {
  name: 'failed-sync',
  title: 'fsync fails (EIO) under load, then works again',
  plants: ['trusted-sync'],
  runs: 1,
  unavailable: () => DiskShim.unavailable(),
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options, {
    nodeFlags: ['--import', join(import.meta.dirname, 'log-acks.ts')],
    prepare: (store, its) => its.shim(store),
  })
  const { load } = rig
  let failed = 0
  for (let n = 0; n < options.runs; n++) {
    const victim = rig.pick()
    const shim = rig.shim(victim)
    const before = shim.events().length
    shim.failSyncs()
    await eventually(
      async () => {
        expectNoAcks(shim.events().slice(before))
        const { status, reasons } = await victim.health()
        return status === 503 && reasons.some((reason) => reason.includes('STORE_WRITE_FAILED'))
      },
      { what: 'the store says that it cannot write', deadlineMs: 30_000, everyMs: 20 },
    )
    await load.ackedMore(200)
    const during = shim.events().slice(before)
    expectNoAcks(during)
    failed += during.filter(({ kind }) => kind === 'F').length
    shim.healSyncs()
    const healedMs = systemClock.monotonicMs()
    await eventually(async () => (await victim.health()).status === 200, {
      what: 'the store takes frames again',
      deadlineMs: 60_000,
      everyMs: 20,
    })
    await rig.whole(healedMs)
  }
  if (failed < options.runs) throw new Error('no sync failed: the fault did not happen')
  const happened = `${failed} syncs failed, and nothing was acknowledged by that store meanwhile`
  return await rig.outcome(happened, options.runs)
}

/** From the first failed sync on. */
function expectNoAcks(events: readonly DiskEvent[]): void {
  const first = events.findIndex(({ kind }) => kind === 'F')
  const acks = events.slice(first).filter(({ kind }) => kind === 'A').length
  if (first >= 0 && acks > 0) throw new Error(`${acks} acks were sent after a sync had failed`)
}
