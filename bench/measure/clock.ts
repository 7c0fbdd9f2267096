// One clock for all processes of this machine: the monotonic one, in µs. performance.now() alone begins
// at each process's start, and hrtime.bigint() alone makes garbage at each call.
const TRIES = 50

/** The largest of some tries: whatever comes between the two readings makes it smaller. */
const BASE_US = Math.max(
  ...Array.from(
    { length: TRIES },
    () => Number(process.hrtime.bigint()) / 1000 - performance.now() * 1000,
  ),
)

/** µs; comparable between processes and threads. */
export function nowUs(): number {
  return BASE_US + performance.now() * 1000
}
