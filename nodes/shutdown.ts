// How a node ends: on SIGTERM or SIGINT, or when its parent asks, it drains and exits within 10 s;
// a second signal ends it at once. Node.js as PID 1 has no default handlers, so these are all there is.

/** Docker and Kubernetes send SIGKILL after 10 s or more: be done before. */
export const STOP_MS = 8_000

export type StopReason = NodeJS.Signals | 'parent'

/** Resolves with the first reason to stop. */
export function stopRequested(): Promise<StopReason> {
  return new Promise((resolve) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      resolve(signal)
      // The second one means now.
      for (const again of ['SIGTERM', 'SIGINT'] as const) {
        process.removeListener(again, onSignal)
        process.once(again, () => process.exit(130))
      }
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
    // A parent that dies without a word must not leave its children behind.
    process.once('disconnect', () => resolve('parent'))
    if (process.send !== undefined && !process.connected) resolve('parent')
  })
}
