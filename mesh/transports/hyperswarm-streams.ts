// What every encrypted stream needs at its end.
import type { SecretStream } from 'hyperdht'
import type { Clock } from '../clock.ts'

/** How long the last bytes may take: a goodbye, or the proof that tells a stranger why it is refused. */
const LINGER_MS = 500

/** Writes no more, drops what still comes, and ends the stream when the other side does, or soon. */
export function endSoon(stream: SecretStream, clock: Clock): void {
  if (stream.destroying) return
  stream.end()
  stream.resume()
  const timer = clock.startTimer(LINGER_MS, () => stream.destroy())
  stream.on('close', () => timer.cancel())
}
