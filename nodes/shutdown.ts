// How a node ends: on SIGTERM or SIGINT, or when its parent asks, it drains and exits within 10 s;
// a second signal ends it at once. Node.js as PID 1 has no default handlers, so these are all there is.

/** Docker and Kubernetes send SIGKILL after 10 s or more: be done before. */
export const STOP_MS = 8_000

export type StopReason = NodeJS.Signals | 'parent'

/** Resolves with the first reason to stop. */
export function stopRequested(): Promise<StopReason> {
  return new Promise((resolve) => {
    let isStopping = false
    // The same listener for both: one that replaced another could miss a signal in between.
    const onSignal = (signal: NodeJS.Signals): void => {
      // The second one means now.
      if (isStopping) process.exit(130)
      isStopping = true
      resolve(signal)
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
    // A parent that dies without a word must not leave its children behind.
    process.once('disconnect', () => resolve('parent'))
    if (process.send !== undefined && !process.connected) resolve('parent')
  })
}
