// Asks on a schedule, one question after the other: a store that holds up one question is not spared the
// wait of those that were due meanwhile.
import { setTimeout as delay } from 'node:timers/promises'

/**
 * How long each of `count` answers took, µs, one question every `everyMs`: from the time it was due where
 * the one before it was still unanswered, from its sending otherwise.
 */
export async function askAtTimes(
  count: number,
  everyMs: number,
  ask: () => Promise<unknown>,
): Promise<number[]> {
  const tookUs: number[] = []
  const startMs = performance.now()
  for (let i = 0; i < count; i++) {
    const dueMs = startMs + i * everyMs
    const aheadMs = dueMs - performance.now()
    if (aheadMs > 0) await delay(aheadMs)
    // A timer that fires late is this process's doing.
    const fromMs = aheadMs > 0 ? performance.now() : dueMs
    await ask()
    tookUs.push((performance.now() - fromMs) * 1000)
  }
  return tookUs
}

/** By nearest rank; NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
