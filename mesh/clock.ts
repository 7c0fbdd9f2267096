// Time and chance, passed in. mesh/ and storage/ never read the wall clock, start a timer or draw a
// random number themselves: they take these two, so that the simulator can run the very same code
// from a seed. The real ones are in system.ts.

export interface Clock {
  /** Wall time in microseconds since the Unix epoch. May jump when the host's clock is set. */
  nowUs(): number
  /** Milliseconds since an arbitrary start; never jumps. For timeouts and measured durations. */
  monotonicMs(): number
  /** Calls `callback` once after `delayMs`. A timer never keeps the process alive. */
  startTimer(delayMs: number, callback: () => void): Timer
}

export interface Timer {
  cancel(): void
}

export interface Random {
  /** A number in [0, 1). */
  next(): number
  /** `length` random bytes. */
  bytes(length: number): Uint8Array
}
