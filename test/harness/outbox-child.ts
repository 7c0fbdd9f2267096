// A publisher with a disk outbox, to be killed by somebody else or by itself at a step told in advance.
// What publish() accepted is written to a file at once, before anything else can happen: that file is
// the promise that the test holds the stores to.
//
//   accepted   one number a line, written after publish() returned true
import { openSync, writeSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { setImmediate as turn } from 'node:timers/promises'
import { OutboxLog, systemClock, type Publisher } from '../../mesh/index.ts'
import { openSession } from '../../nodes/session.ts'
import { SeededRandom } from '../../mesh/seeded-random.ts'
import { armCrash } from './crash-point.ts'
import type { OutboxOrders } from './outbox-publisher.ts'

const orders = JSON.parse(process.argv[2]!) as OutboxOrders
const { config, directory, accepted, stream, sources, seed, from, count, crash } = orders
const random = new SeededRandom(seed + from)
const acceptedFile = openSync(accepted, 'a')

process.once('disconnect', () => process.exit(1))
// A process that is killed writes no cache at its end.
flushCompileCache()
const session = await openSession(config, {})
const log = await OutboxLog.open({
  directory,
  meshId: session.mesh.id,
  clock: systemClock,
  syncMs: 10,
})
if (log.recovered.damagedRecords > 0) process.send!({ type: 'damaged' })
if (crash !== undefined) armCrash(crash, log, session.transport)
const publisher = await session.publisher({ outboxLog: log })
process.send!({ type: 'ready' })
await publishAll()
process.send!({ type: 'published' })
await publisher.stored()
process.send!({ type: 'stored' })
const undelivered = await publisher.close({ drainMs: 20_000 })
await session.close()
process.exitCode = undelivered === 0 ? 0 : 3
process.removeAllListeners('disconnect')
process.disconnect()

/** In bursts of a few samples; between them a turn, or for now and then until all is stored. */
async function publishAll(): Promise<void> {
  for (let n = from; n < from + count;) {
    for (let burst = 1 + Math.floor(random.next() * 4); burst > 0 && n < from + count; burst--) {
      publishOne(publisher, n)
      n += 1
    }
    if (crash !== undefined && random.next() < 0.3) await publisher.stored()
    else await turn()
  }
}

function publishOne(to: Publisher, n: number): void {
  const source = sources[n % sources.length]!
  // A field by the name of the source: so that each has a schema that no store has seen before.
  const sample = { timeUs: systemClock.nowUs(), fields: { n, [source]: n / 3 } }
  if (to.publish(stream, source, sample)) writeSync(acceptedFile, `${n}\n`)
}
