// 10,000 sources with two streams each, so 20,000 lanes, with a kill in the middle: the memory of the stores
// stays bounded, and all lanes come back whole.
import { systemClock } from '../../mesh/index.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

const SOURCES = 10_000
const STREAMS = 2
const LOAD = { sources: SOURCES, streams: STREAMS, samplesPerSecond: 4_000 }

export const manySources: Fault = {
  name: 'many-sources',
  title: `${SOURCES} sources with ${STREAMS} streams each, and a kill`,
  plants: ['no-repair'],
  runs: 1,
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options, { load: LOAD })
  const { load } = rig
  const lanes = SOURCES * STREAMS
  await load.ackedMore(lanes / 2)
  const victim = rig.pick()
  await rig.kill(victim)
  await load.ackedMore(lanes / 2)
  await load.stop()
  const backMs = systemClock.monotonicMs()
  await victim.start()
  await rig.mesh.joined()
  await rig.whole(backMs)
  if (load.ledger.lanes < lanes) throw new Error(`only ${load.ledger.lanes} lanes of ${lanes}`)
  return await rig.outcome(`${load.ledger.lanes} lanes, one kill`, 1)
}
