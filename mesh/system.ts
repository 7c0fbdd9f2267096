// The real clock and the real random source: the only file of mesh/ and storage/ that may touch them.
import { randomBytes } from 'node:crypto'
import type { Clock, Random, Timer } from './clock.ts'

export const systemClock: Clock = {
  nowUs: () => Math.round((performance.timeOrigin + performance.now()) * 1000),
  monotonicMs: () => performance.now(),
  startTimer: (delayMs, callback): Timer => {
    const handle = setTimeout(callback, delayMs)
    handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
}

export const systemRandom: Random = {
  next: () => Math.random(),
  bytes: (length) => randomBytes(length),
}
