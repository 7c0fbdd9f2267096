// All of a stream, from its beginning and on, as a program reads it that was never there: it subscribes,
// and asks the stores for what was published before.
import { setTimeout as delay } from 'node:timers/promises'
import { onAnyPort, openAsking, type Config } from '../../nodes/index.ts'
import { StorageError, type Asker, type Row } from '../../storage/index.ts'
import { Seam } from './skein-seam.ts'
import type { Consumer, ConsumerOptions } from './system.ts'

/** Between two questions for what was on its way to the stores. */
const ASK_MS = 50
/** Publishers find a new subscriber within two announcements; then silence means something. */
const SILENCE_MS = 3_000
/** Samples handed over at once. */
const BATCH = 500
const END_US = Number.MAX_SAFE_INTEGER
/** Nothing of the stream is stored yet. */
const NO_ROWS: AsyncIterable<Row> = (async function* () {})()

type OnSamples = ConsumerOptions['onSamples']

export async function readFromStart(
  config: Config,
  stream: string,
  onSamples: OnSamples,
): Promise<Consumer> {
  const { session, asker } = await openAsking(onAnyPort(config), { roles: ['subscriber'] })
  const seam = new Seam()
  await session.subscriber({
    streams: [stream],
    onFrames: (frames) => {
      for (const frame of frames) onSamples(seam.takeLive(frame))
    },
  })
  const closing = new AbortController()
  // What fails ends the process: half a history is none.
  const reading = new History(asker, stream, seam, onSamples).read(closing.signal)
  return {
    async close() {
      closing.abort()
      await reading
      await session.close()
    },
  }
}

class History {
  private readonly asker: Asker
  private readonly stream: string
  private readonly seam: Seam
  private readonly onSamples: OnSamples

  constructor(asker: Asker, stream: string, seam: Seam, onSamples: OnSamples) {
    this.asker = asker
    this.stream = stream
    this.seam = seam
    this.onSamples = onSamples
  }

  /** Asks until what the stores gave and what came live meet. */
  async read(signal: AbortSignal): Promise<void> {
    const startMs = performance.now()
    let fromUs: number | undefined = 0
    try {
      while (fromUs !== undefined) {
        const isSilent = performance.now() - startMs > SILENCE_MS
        const found = await this.ask(fromUs, signal)
        if (isSilent && found === 0) return
        fromUs = this.seam.openFromUs()
        await delay(ASK_MS, undefined, { signal })
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  /** How many samples the stores had that were new. */
  private async ask(fromUs: number, signal: AbortSignal): Promise<number> {
    let found = 0
    let batch: { timeUs: number }[] = []
    const hand = (): void => {
      found += batch.length
      if (batch.length > 0) this.onSamples(batch)
      batch = []
    }
    for await (const row of await this.rows(fromUs, signal)) {
      if (this.seam.takeRow(row)) batch.push(row)
      if (batch.length === BATCH) hand()
    }
    hand()
    return found
  }

  private async rows(fromUs: number, signal: AbortSignal): Promise<AsyncIterable<Row>> {
    const { stream } = this
    const query = { kind: 'range', stream, where: [], fromUs, toUs: END_US, order: 'asc' } as const
    try {
      return (await this.asker.range(query, signal)).rows
    } catch (error) {
      if (error instanceof StorageError && error.code === 'QUERY_STREAM_UNKNOWN') return NO_ROWS
      throw error
    }
  }
}
