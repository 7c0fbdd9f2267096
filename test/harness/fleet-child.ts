// The process that fleet.ts starts around fleet-body.ts.
import { runFleet } from './fleet-body.ts'
import type { FleetMessage, FleetOrders } from './fleet.ts'

const orders = JSON.parse(process.argv[2]!) as FleetOrders
const tell = (message: FleetMessage): void => void process.send?.(message)
const fleet = await runFleet(orders, tell, (line) => process.stderr.write(`${line}\n`))

process.once('disconnect', () => process.exit(1))
process.on('message', ({ type }: { type: string }) => {
  if (type === 'collect') fleet.collect()
  else if (type === 'park') fleet.park()
  else void end(type === 'abandon' ? fleet.abandon() : fleet.stop())
})
tell({ type: 'ready' })

async function end(ended: Promise<void>): Promise<void> {
  await ended
  // A channel that is closed drops what it has not written yet: the last status, on a busy machine.
  await new Promise((resolve) => process.send!({ type: 'last' }, resolve))
  process.removeAllListeners('disconnect')
  process.disconnect()
}
