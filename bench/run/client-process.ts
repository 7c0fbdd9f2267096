// What publishing and subscribing processes have in common: they hear what to do over IPC, and a failure
// is told before the process ends.
import { enableCompileCache } from 'node:module'
import type { Assignment, FromClient, ToClient } from './messages.ts'

// A run may have 16 of them: what they load to reach their system is compiled once, not in each.
enableCompileCache()

export interface ClientBody {
  /** Publishers. */
  go?(startUs: number): Promise<void>
  /** Subscribers. */
  report?(withTimes: boolean): void
  close(): Promise<void>
}

export function serveClient(open: (assignment: Assignment) => Promise<ClientBody>): void {
  let body: ClientBody | undefined
  const handle = async (message: ToClient): Promise<void> => {
    switch (message.type) {
      case 'open':
        body = await open(message.assignment)
        tell({ type: 'ready' })
        break
      case 'go':
        await body?.go?.(message.startUs)
        break
      case 'report':
        body?.report?.(message.withTimes)
        break
      case 'close':
        await body?.close()
        process.disconnect()
        break
    }
  }
  process.on('message', (message) => {
    handle(message as ToClient).catch((error: Error) => {
      tell({ type: 'failed', message: error.stack ?? error.message })
      process.disconnect()
    })
  })
  // Ctrl-C is for the bench, which lets the run under way finish.
  process.on('SIGINT', () => undefined)
  // The bench is gone: so is what this was for.
  process.on('disconnect', () => process.exit(0))
}

export function tell(message: FromClient): void {
  if (process.connected) process.send!(message)
}
