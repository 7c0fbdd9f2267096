// Time limits by the clock that was passed in, as abort signals.
import type { Clock } from '../../mesh/index.ts'
import { StorageError } from '../errors.ts'

/**
 * Runs `work` with a signal that aborts when `signal` does or after `timeoutMs`.
 * @throws StorageError QUERY_TIMEOUT when the time is up; else whatever `work` throws.
 */
export async function withDeadline<T>(
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const timeout = new StorageError('QUERY_TIMEOUT', `no answer within ${timeoutMs} ms`, {
    retryable: true,
  })
  const { promise: expired, reject } = Promise.withResolvers<never>()
  const giveUp = (reason: unknown): void => {
    controller.abort(reason)
    reject(reason)
  }
  const onAbort = (): void => giveUp(signal.reason)
  signal.throwIfAborted()
  signal.addEventListener('abort', onAbort, { once: true })
  const timer = clock.startTimer(timeoutMs, () => giveUp(timeout))
  try {
    return await Promise.race([work(controller.signal), expired])
  } finally {
    timer.cancel()
    signal.removeEventListener('abort', onAbort)
  }
}
