// The process that fleet.ts starts: vehicles on their roads, published as `skein node fleet` does, which
// tells the test every receipt, so that "acknowledged" is known exactly and not by anybody's count.
// Every vehicle is on the network all the time: a pause in its receipts is then a store's doing.
import { systemClock } from '../../mesh/index.ts'
import { openPublisher, openSession, VehicleNode } from '../../nodes/index.ts'
import { createFleet, FLEET_SCHEMA, FLEET_STREAM } from '../../sim/fleet.ts'
import type { FleetMessage, FleetOrders, ReceiptMessage } from './fleet.ts'

const RECEIPTS_MS = 20
const STATUS_MS = 100

const orders = JSON.parse(process.argv[2]!) as FleetOrders
const { config, vehicles, samplesPerSecond } = orders
let receipts: ReceiptMessage[] = []
let heldBytes = 0

const session = await openSession(config, {
  onWarning: (message) => process.stderr.write(`${message}\n`),
})
const publisher = await openPublisher(session, config, {
  outboxName: 'fleet',
  schemas: { [FLEET_STREAM]: FLEET_SCHEMA },
  onReceipt: ({ source, epoch, sequence, timesUs, stores }) =>
    receipts.push({
      source,
      epoch,
      sequence,
      timesUs,
      stores,
      atMs: Date.now(),
    }),
})
const fleet = createFleet({ vehicles, seed: 1, startUs: systemClock.nowUs() })
const node = new VehicleNode({
  session,
  publisher,
  clock: systemClock,
  stream: FLEET_STREAM,
  samplesPerSecond,
  sources: fleet.sources.map((source, index) => ({
    source,
    isOnline: () => true,
    sample: (timeUs) => fleet.sample(index, timeUs),
  })),
})

function tell(message: FleetMessage): void {
  process.send?.(message)
}

function tellReceipts(): void {
  if (receipts.length > 0) tell({ type: 'receipts', receipts })
  receipts = []
}

function tellStatus(): void {
  const { samplesPublished, samplesStored, samplesRefused } = publisher.counters
  tell({
    type: 'status',
    status: {
      published: samplesPublished,
      stored: samplesStored,
      refused: samplesRefused,
      outboxBytes: publisher.outboxBytes,
      pendingSamples: publisher.pendingSamples,
      rssBytes: process.memoryUsage.rss(),
      heldBytes,
    },
  })
}

/** Collects all garbage and says what is left, in the next status only. */
function tellHeld(): void {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  heldBytes = heapUsed + external
  tellStatus()
  heldBytes = 0
}

const timers = [setInterval(tellReceipts, RECEIPTS_MS), setInterval(tellStatus, STATUS_MS)]
process.once('disconnect', () => process.exit(1))
process.on('message', ({ type }: { type: string }) => {
  if (type === 'collect') tellHeld()
  else void stop()
})
node.start()
tell({ type: 'ready' })

/** Parks the vehicles, waits until everything is acknowledged, and says so. */
async function stop(): Promise<void> {
  node.stop()
  await publisher.stored()
  for (const timer of timers) clearInterval(timer)
  tellReceipts()
  tellStatus()
  await publisher.close({ drainMs: 30_000 })
  await session.close()
  // A channel that is closed drops what it has not written yet: the last status, on a busy machine.
  await new Promise((resolve) => process.send!({ type: 'last' }, resolve))
  process.removeAllListeners('disconnect')
  process.disconnect()
}
