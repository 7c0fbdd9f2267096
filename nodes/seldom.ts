// A warning that could come once for every sample: the first one is said at once, then at most one
// every 10 s, with how many there were.
import type { Clock } from '../mesh/index.ts'

const PAUSE_MS = 10_000

/** As `tell`, but seldom. */
export function seldom(clock: Clock, tell: (message: string) => void): (message: string) => void {
  let isPausing = false
  let unsaid = 0
  let last = ''
  const say = (message: string): void => {
    tell(message)
    isPausing = true
    unsaid = 0
    clock.startTimer(PAUSE_MS, () => {
      isPausing = false
      if (unsaid > 0) say(`${last} (${unsaid} times in ${PAUSE_MS / 1000} s)`)
    })
  }
  return (message) => {
    if (!isPausing) {
      say(message)
      return
    }
    unsaid += 1
    last = message
  }
}
