// kill -9 of a storage peer at random moments under load, and its return; at the end of two at once, when
// nobody may call an answer complete.
import { systemClock } from '../../mesh/index.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

const ALIVE_MS_MAX = 400
const AWAY_MS_MAX = 600

export const kill: Fault = {
  name: 'kill',
  title: 'kill -9 of a random store at a random moment under load',
  plants: ['no-repair', 'no-dedup'],
  runs: 10,
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options)
  const { random, load } = rig
  for (let n = 0; n < options.runs; n++) {
    const victim = rig.pick()
    await rig.letPass(random.next() * ALIVE_MS_MAX)
    await rig.kill(victim)
    await rig.letPass(random.next() * AWAY_MS_MAX)
    // What was under way when it died went to the one that stood in: then the two others do all.
    await load.ackedMore(50)
    const backMs = systemClock.monotonicMs()
    await victim.start()
    // Mostly the next one dies while this one still fetches what it missed.
    if (n % 5 === 4) await rig.counted(victim, backMs)
    else await rig.mesh.joined()
  }
  const [first, second, third] = rig.mesh.stores
  await Promise.all([rig.kill(first!), rig.kill(second!)])
  await rig.expectIncomplete(third!)
  const backMs = systemClock.monotonicMs()
  await Promise.all([first!.start(), second!.start()])
  await rig.whole(backMs)
  return await rig.outcome(`${options.runs} kills, and one of two stores at once`, options.runs)
}
