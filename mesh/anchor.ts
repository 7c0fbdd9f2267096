// Keeps the process alive while a transport is open, also between two attempts to connect, when there is
// no socket that does. Timers do not (system.ts).
import { MessageChannel } from 'node:worker_threads'

/** Returns how to let go. */
export function dropAnchor(): () => void {
  const { port1 } = new MessageChannel()
  port1.ref()
  return () => port1.close()
}
