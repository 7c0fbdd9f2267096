// The sending half of the smoke bench, in a process of its own: publishes through the mesh, or sends
// bare ZeroMQ messages, as the parent asks over IPC.
import { createHistogram } from 'node:perf_hooks'
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import { Dealer } from 'zeromq'
import { systemClock } from '../mesh/index.ts'
import { loadConfig, openPublisher, openSession } from '../nodes/index.ts'
import { createFleet, FLEET_SCHEMA, FLEET_STREAM } from '../sim/index.ts'

export interface LoadRequest {
  readonly kind: 'frames' | 'singles' | 'paced' | 'stop'
  readonly seconds: number
  /** Samples in a frame, for `frames`. */
  readonly frameSamples?: number
  readonly sources?: number
  /** For `paced`: messages a second, and where the bare ones go, this long. */
  readonly rate?: number
  readonly endpoint?: string
  readonly bytes?: number
}

export interface LoadResult {
  readonly samples: number
  readonly frames: number
  readonly seconds: number
  /** Publish to receipt, µs; of `paced` only, whose samples have the time they are published at. */
  readonly storedP50Us: number
  readonly cpuSeconds: number
}

/** Frames not acknowledged that the generator lets gather: enough to keep the disks busy. */
const PENDING_SAMPLES_MAX = 200_000
const PENDING_FRAMES_MAX = 6_000

const seed = process.argv[2]!
const { config } = loadConfig({
  cwd: process.cwd(),
  env: {},
  overrides: [{ key: 'seeds', value: [seed], flag: 'bench' }],
})
const session = await openSession(config, {})
const stored = createHistogram()
const publisher = await openPublisher(session, config, {
  outboxName: 'bench',
  schemas: { [FLEET_STREAM]: FLEET_SCHEMA },
  onReceipt: ({ timesUs }) => {
    const nowUs = systemClock.nowUs()
    stored.record(Math.max(1, nowUs - timesUs[0]!))
  },
})

process.on('message', (message) => {
  void serve(message as LoadRequest)
})
process.send!('ready')

async function serve(request: LoadRequest): Promise<void> {
  if (request.kind === 'stop') {
    await publisher.close({ drainMs: 1_000 })
    await session.close()
    process.exit(0)
  }
  // Warm up first: the figure is of a process that has been running.
  await load({ ...request, seconds: Math.min(2, request.seconds) })
  stored.reset()
  process.send!(await load(request))
}

async function load(request: LoadRequest): Promise<LoadResult> {
  const { samplesStored, framesStored } = publisher.counters
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  if (request.kind === 'paced') await paced(request)
  else await flatOut(request)
  const seconds = (performance.now() - startMs) / 1000
  const samples = publisher.counters.samplesStored - samplesStored
  const frames = publisher.counters.framesStored - framesStored
  const { user, system } = process.cpuUsage(cpu)
  await publisher.stored()
  return {
    samples,
    frames,
    seconds,
    cpuSeconds: (user + system) / 1e6,
    storedP50Us: stored.percentile(50),
  }
}

/** As much as is acknowledged: the generator waits while too much is not. */
async function flatOut({ seconds, frameSamples = 1, sources = 100 }: LoadRequest): Promise<void> {
  const startUs = systemClock.nowUs()
  const fleet = createFleet({ vehicles: sources, seed: 1, startUs })
  const series = fleet.sources.map((source) => publisher.series(FLEET_STREAM, source))
  const endMs = performance.now() + seconds * 1000
  let next = 0
  let timeUs = startUs
  while (performance.now() < endMs) {
    for (let burst = 0; burst < (frameSamples > 1 ? 10 : 500); burst++) {
      for (let i = 0; i < frameSamples; i++) {
        series[next]!.publish(fleet.sample(next, (timeUs += 10)))
      }
      next = (next + 1) % sources
    }
    await turn()
    const { pendingSamples, pendingFrames } = publisher
    if (pendingSamples > PENDING_SAMPLES_MAX || pendingFrames > PENDING_FRAMES_MAX) {
      while (
        publisher.pendingSamples > PENDING_SAMPLES_MAX / 2 ||
        publisher.pendingFrames > PENDING_FRAMES_MAX / 2
      ) {
        await turn()
      }
    }
  }
}

/**
 * One message a millisecond, by turns a sample through the mesh and the same number of bytes over a
 * bare DEALER: what disturbs one disturbs the other. By a timer, so that the sender leaves the cores to
 * what is measured; the clock starts just before publish() and send().
 */
async function paced({ seconds, rate = 1000, sources = 10, ...raw }: LoadRequest): Promise<void> {
  const fleet = createFleet({ vehicles: sources, seed: 1, startUs: systemClock.nowUs() })
  const dealer = new Dealer({ linger: 0 })
  dealer.connect(raw.endpoint!)
  const endMs = performance.now() + seconds * 1000
  for (let sent = 0; performance.now() < endMs; sent++) {
    await delay(1000 / rate)
    if (sent % 2 === 0) {
      const message = Buffer.alloc(raw.bytes!, sent & 0xff)
      message.writeDoubleLE(systemClock.nowUs(), 0)
      await dealer.send(message)
      continue
    }
    const index = (sent >> 1) % sources
    const { fields } = fleet.sample(index, systemClock.nowUs())
    const source = fleet.sources[index]!
    publisher.publish(FLEET_STREAM, source, { timeUs: systemClock.nowUs(), fields })
  }
  dealer.close()
}
