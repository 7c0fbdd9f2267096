// What a process that needs others waits for: said once it has lasted a while, and again now and then
// for as long as it lasts, so that nobody takes silence for work.
import { systemClock, type Clock, type Publisher, type Timer } from '../mesh/index.ts'
import { hasSeeds, meshInQuestion, whereabouts, type Config } from '../nodes/index.ts'
import type { Warn } from './output.ts'

/** A mesh that runs is found in well under this. */
const PATIENCE_MS = 3_000
/** Nodes that are started together slow each other down. */
export const TOGETHER_MS = 5_000
const REPEAT_MS = 60_000
const LOOK_MS = 250

interface TellOptions {
  /** How long it may last before it is said. */
  readonly patienceMs?: number
  readonly clock?: Clock
}

/** Warns of what `trouble` says, for as long as it says something. */
export function tellTrouble(
  trouble: () => string | undefined,
  warn: Warn,
  { patienceMs = PATIENCE_MS, clock = systemClock }: TellOptions = {},
): Disposable {
  let dueMs: number | undefined
  let timer: Timer | undefined
  const look = (): void => {
    const nowMs = clock.monotonicMs()
    const reason = trouble()
    if (reason === undefined) dueMs = undefined
    else if (dueMs === undefined) dueMs = nowMs + patienceMs
    else if (nowMs >= dueMs) {
      dueMs = nowMs + REPEAT_MS
      warn(reason)
    }
    timer = clock.startTimer(LOOK_MS, look)
  }
  look()
  return { [Symbol.dispose]: () => timer?.cancel() }
}

/** For what publishes: a verb, the fleet, the aggregator. */
export function tellWhenWaiting(
  publisher: Pick<Publisher, 'trouble'>,
  config: Config,
  warn: Warn,
): Disposable {
  return tellTrouble(() => whyUnstored(publisher, config), warn)
}

/** What a publisher says when only its stores are lacking; otherwise it says all that is to be said. */
const STORES_LACK = /stores that must hold a frame can be reached$/

/** Why what is published is not acknowledged just now, and where its stores are looked for. */
export function whyUnstored(
  publisher: Pick<Publisher, 'trouble'>,
  config: Config,
): string | undefined {
  const trouble = publisher.trouble()
  if (trouble === undefined || !STORES_LACK.test(trouble)) return trouble
  const { transport, seeds } = config
  const where = hasSeeds(transport.name) ? `from ${seeds.join(', ')}` : whereabouts(config)
  return (
    `${trouble}. Stores are looked for ${where}: is the mesh running (npm start), ` +
    `and is ${meshInQuestion(config)}? What is published waits in the outbox`
  )
}
