// What fleet.ts runs: vehicles on their roads, published as `skein node fleet` does, which tells the test
// every receipt, so that "acknowledged" is known exactly and not by anybody's count. Every vehicle is on
// the network all the time: a pause in its receipts is then a store's doing.
import { systemClock, type Clock } from '../../mesh/index.ts'
import { openPublisher, openSession, VehicleNode } from '../../nodes/index.ts'
import { createFleet, FLEET_SCHEMA, FLEET_STREAM } from '../../sim/fleet.ts'
import type { FleetMessage, FleetOrders, ReceiptMessage } from './fleet.ts'

const RECEIPTS_MS = 20
const STATUS_MS = 100

export interface RunningFleet {
  /** Collects all garbage and says what is left, in the next status only. */
  collect(): void
  /** Parks the vehicles; those that are parked publish nothing more. */
  park(): void
  /** Parks the vehicles, waits until everything is acknowledged, and says so. */
  stop(): Promise<void>
  /** Ends at once; what is not acknowledged is left in the outbox. */
  abandon(): Promise<void>
}

export async function runFleet(
  orders: FleetOrders,
  tell: (message: FleetMessage) => void,
  warn: (line: string) => void,
): Promise<RunningFleet> {
  const { config, vehicles, samplesPerSecond, name = 'fleet', seed = 1, clockAheadUs = 0 } = orders
  let receipts: ReceiptMessage[] = []
  let heldBytes = 0
  const clock: Clock = { ...systemClock, nowUs: () => systemClock.nowUs() + clockAheadUs }
  const session = await openSession(config, { clock, onWarning: warn })
  const publisher = await openPublisher(session, config, {
    outboxName: name,
    schemas: { [FLEET_STREAM]: FLEET_SCHEMA },
    onWarning: warn,
    onReceipt: ({ source, epoch, sequence, timesUs, stores }) =>
      receipts.push({ source, epoch, sequence, timesUs, stores, atMs: Date.now() }),
  })
  const fleet = createFleet({ vehicles, seed, startUs: clock.nowUs() })
  const node = new VehicleNode({
    session,
    publisher,
    clock,
    stream: FLEET_STREAM,
    samplesPerSecond,
    sources: fleet.sources.map((source, index) => ({
      source: `${name}-${source}`,
      isOnline: () => true,
      sample: (timeUs) => fleet.sample(index, timeUs),
    })),
  })
  const tellReceipts = (): void => {
    if (receipts.length > 0) tell({ type: 'receipts', receipts })
    receipts = []
  }
  const tellStatus = (): void => {
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
  const timers = [setInterval(tellReceipts, RECEIPTS_MS), setInterval(tellStatus, STATUS_MS)]
  const end = async (drainMs: number): Promise<void> => {
    for (const timer of timers) clearInterval(timer)
    tellReceipts()
    tellStatus()
    await publisher.close({ drainMs })
    await session.close()
  }
  node.start()
  return {
    collect: () => {
      globalThis.gc?.()
      const { heapUsed, external } = process.memoryUsage()
      heldBytes = heapUsed + external
      tellStatus()
      heldBytes = 0
    },
    park: () => node.stop(),
    stop: async () => {
      node.stop()
      await publisher.stored()
      await end(30_000)
    },
    abandon: async () => {
      node.stop()
      await end(0)
    },
  }
}
