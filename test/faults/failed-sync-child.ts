// Runs with the disk shim, has it fail syncs for a while, and says on its output what the writer and the
// store made of it. `node failed-sync-child.ts <directory> <directory of the shim>`
import { FakeClock } from '../../mesh/fake-clock.ts'
import { openLevelStore } from '../../storage/level/level-store.ts'
import { Writer, type Outcome } from '../../storage/writer.ts'
import { START_US, testRun } from '../../storage/conformance/test-frames.ts'
import { DiskShim } from './disk-shim.ts'

const [directory, shimDirectory] = process.argv.slice(2)
if (directory === undefined || shimDirectory === undefined) {
  throw new TypeError('usage: failed-sync-child.ts <directory> <directory of the shim>')
}

const shim = new DiskShim(shimDirectory)
const clock = new FakeClock()
const store = await openLevelStore({ directory })
let outcomes: Outcome[] = []
const writer = new Writer<undefined>({
  store,
  clock,
  commitIntervalMs: 0,
  onCommitted: (results) => outcomes.push(...results.map(({ outcome }) => outcome)),
})

async function offer(from: number): Promise<Outcome[]> {
  outcomes = []
  for (const { frame } of testRun(3, { sequence: from })) writer.offer(frame, undefined, START_US)
  await writer.drain()
  return outcomes
}

const report: unknown[] = []
report.push(await offer(1))
shim.failSyncs()
report.push(await offer(4), writer.health())
await clock.advance(5000)
report.push(
  writer.health().state,
  [...store.lanes()].map(({ held }) => held.toRuns()),
)
shim.healSyncs()
await clock.advance(5000)
// The re-opening does real work, of which the fake clock knows nothing.
while (writer.health().state === 'failing') await new Promise(setImmediate)
report.push(await offer(7))
await writer.close()
await store.close()
const again = await openLevelStore({ directory })
report.push([...again.lanes()].map(({ held }) => held.toRuns()))
await again.close()
console.log(JSON.stringify(report))
