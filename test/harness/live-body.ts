// What live.ts runs: a live subscriber that tells the test each frame it gets and each that it missed, in
// the order in which it does.
import { systemClock, type LaneKey } from '../../mesh/index.ts'
import { onAnyPort, openSession, type Config } from '../../nodes/index.ts'
import type { LiveMessage, LiveRecord } from './live.ts'
import { laneKey } from '../../mesh/index.ts'

const TELL_MS = 20

export interface LiveOrders {
  readonly config: Config
  readonly stream: string
}

export interface RunningLive {
  /** Takes nothing more until resume(). */
  pause(): void
  resume(): void
  stop(): Promise<void>
}

export async function runLive(
  { config, stream }: LiveOrders,
  tell: (message: LiveMessage) => void,
  warn: (line: string) => void,
): Promise<RunningLive> {
  let records: LiveRecord[] = []
  let gate: { promise: Promise<void>; resolve: () => void } | undefined
  const session = await openSession(onAnyPort(config), {
    roles: ['subscriber'],
    name: 'live',
    onWarning: warn,
  })
  const nameOf = (lane: Parameters<typeof laneKey>): LaneKey => laneKey(...lane)
  await session.subscriber({
    streams: [stream],
    onFrames: async (frames) => {
      for (const { source, stream, epoch, sequence, late, samples } of frames) {
        const lane = nameOf([source, stream, epoch])
        records.push({
          lane,
          from: sequence,
          to: sequence,
          got: late ? 'late' : 'live',
          count: samples.length,
        })
      }
      await gate?.promise
    },
    onMissed: ({ source, stream, epoch, from, to }) => {
      records.push({ lane: nameOf([source, stream, epoch]), from, to, got: 'missed', count: 0 })
    },
  })
  const flush = (): void => {
    if (records.length > 0) tell({ type: 'records', records, atMs: systemClock.nowUs() / 1000 })
    records = []
  }
  const timer = setInterval(flush, TELL_MS)
  return {
    pause: () => (gate = Promise.withResolvers<void>()),
    resume: () => {
      gate?.resolve()
      gate = undefined
    },
    stop: async () => {
      await session.close()
      clearInterval(timer)
      flush()
    },
  }
}
