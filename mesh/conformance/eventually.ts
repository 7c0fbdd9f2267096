// Waits for something that no event tells of, in tests: polls a condition until it holds, and fails
// with a reason when it does not within the deadline. A test never sleeps for a guessed time.
import { systemClock } from '../system.ts'

export interface EventuallyOptions {
  /** What is waited for, for the message of the failure. */
  readonly what?: string
  readonly deadlineMs?: number
  readonly everyMs?: number
}

/** Resolves with the first value of `condition` that is neither false nor undefined. */
export async function eventually<Value>(
  condition: () => Value | Promise<Value>,
  options: EventuallyOptions = {},
): Promise<Exclude<Value, false | undefined>> {
  const { what = condition.toString(), deadlineMs = 10_000, everyMs = 2 } = options
  const startedMs = systemClock.monotonicMs()
  for (;;) {
    const value = await condition()
    if (value !== false && value !== undefined) return value as Exclude<Value, false | undefined>
    const waitedMs = systemClock.monotonicMs() - startedMs
    if (waitedMs > deadlineMs) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await new Promise<void>((resolve) => systemClock.startTimer(everyMs, resolve))
  }
}
