// Power cuts under load: kill -9, and everything that no sync had reached is taken from the disk; of one
// store, and of two at the same moment. What a store had acknowledged must be on its own disk then, whatever
// the others have; and it must have synced the name of a new file before it acknowledged what is in it.
import { join } from 'node:path'
import { systemClock } from '../../mesh/index.ts'
import type { StoragePeer } from '../harness/storage-peer.ts'
import { cutPower } from './cut-power.ts'
import { lanesOnDisk } from './disk-contents.ts'
import { DiskShim } from './disk-shim.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'
import { syncOrder, type SyncOrder } from './sync-order.ts'

const ALIVE_MS_MAX = 1_500
const TORN_BYTES_MAX = 4_000
/** Of a slow disk: then something always waits to be synced. */
const SYNC_US = 10_000
/** A new directory and a new file each time, so that their names have to last too. */
const SETTINGS = ['storage.bucket=2s', 'storage.compact=false']

export const powerCut: Fault = {
  name: 'power-cut',
  title: 'power cut of one store, and of two at the same moment',
  plants: ['no-sync', 'no-directory-sync'],
  runs: 2,
  unavailable: () => DiskShim.unavailable(),
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options, {
    settings: SETTINGS,
    nodeFlags: ['--import', join(import.meta.dirname, 'log-acks.ts')],
    prepare: (store, its) => its.shim(store),
  })
  const { random, load } = rig
  const took = { bytes: 0, names: 0 }
  for (let n = 0; n < options.runs; n++) {
    await load.ackedMore(100)
    await rig.letPass(random.next() * ALIVE_MS_MAX)
    const victims = n % 2 === 0 ? [rig.pick()] : rig.others(rig.pick())
    for (const victim of victims) rig.shim(victim).slowSyncs(SYNC_US)
    await load.ackedMore(20)
    await Promise.all(victims.map((victim) => rig.kill(victim)))
    for (const victim of victims) {
      const tornBytes = Math.floor(random.next() * 2) * Math.floor(random.next() * TORN_BYTES_MAX)
      const cut = cutPower(victim.directory, rig.shim(victim).events(), { tornBytes })
      took.bytes += cut.bytes
      took.names += cut.names
      // Before it is started again, and others could help it.
      rig.expectKept(victim, await lanesOnDisk(victim.directory))
      orderOf(rig, victim)
      rig.shim(victim).slowSyncs(0)
    }
    const backMs = systemClock.monotonicMs()
    await Promise.all(victims.map((victim) => victim.start()))
    await rig.mesh.joined()
    if (n === options.runs - 1) await rig.whole(backMs)
  }
  if (took.bytes === 0) throw new Error('no power cut took anything: the fault did not happen')
  const orders = rig.mesh.stores.map((store) => orderOf(rig, store))
  if (orders.some(({ acks, segments }) => acks === 0 || segments < 2)) {
    throw new Error('no ack of a new segment was seen')
  }
  const happened =
    `${took.bytes} bytes and ${took.names} names taken in ${options.runs} cuts; ` +
    `${sum(orders.map(({ segments }) => segments))} new segments, each with its directory synced before ` +
    `the first of ${sum(orders.map(({ acks }) => acks))} acks`
  return await rig.outcome(happened, options.runs)
}

function orderOf(rig: Rig, store: StoragePeer): SyncOrder {
  const order = syncOrder(rig.shim(store).events())
  if (order.tooEarly > 0) {
    throw new Error(`${order.tooEarly} acks came before the directory of a segment was synced`)
  }
  return order
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
