// Waiting that ends before what is waited for does.
import type { Clock } from './clock.ts'

/** Settles as `done` does, or rejects with the signal's reason when that comes first. */
export async function orAborted(
  done: Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal === undefined) return done
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([done, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Settles as `done` does, or resolves after `ms` when that comes first. */
export async function atMost(ms: number, done: Promise<void>, clock: Clock): Promise<void> {
  const late = Promise.withResolvers<void>()
  const timer = clock.startTimer(ms, () => late.resolve())
  try {
    await Promise.race([done, late.promise])
  } finally {
    timer.cancel()
  }
}
