// The process that live.ts starts around live-body.ts.
import { runLive, type LiveOrders } from './live-body.ts'
import type { LiveMessage } from './live.ts'

const tell = (message: LiveMessage): void => void process.send?.(message)
const orders = JSON.parse(process.argv[2]!) as LiveOrders
const live = await runLive(orders, tell, (line) => process.stderr.write(`${line}\n`))

process.once('disconnect', () => process.exit(1))
process.on('message', () => void stop())
tell({ type: 'ready' })

async function stop(): Promise<void> {
  await live.stop()
  await new Promise((resolve) => process.send!({ type: 'last' }, resolve))
  process.removeAllListeners('disconnect')
  process.disconnect()
}
