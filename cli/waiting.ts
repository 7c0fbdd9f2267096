// A verb that publishes and finds no stores has nothing to show for it: say why, once, and go on.
import type { Publisher } from '../mesh/index.ts'
import type { Config } from '../nodes/index.ts'
import type { Warn } from './output.ts'

/** A mesh that runs is found in well under this. */
const PATIENCE_MS = 3_000

export function tellWhenWaiting(publisher: Publisher, config: Config, warn: Warn): Disposable {
  const timer = setTimeout(() => {
    const trouble = publisher.trouble()
    if (trouble === undefined) return
    warn(
      `${trouble}; looking for them from ${config.seeds.join(', ')}. Is the mesh running (npm start)? ` +
        'What is published waits in the outbox',
    )
  }, PATIENCE_MS)
  timer.unref()
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}
