// The smoke bench: is a mesh on this machine about as fast as it should be? Two storage peers, R = 2,
// W = 2, synced, over ZeroMQ; the publisher in a process of its own; this process is the live
// subscriber. Everything shares the machine, and every figure it is compared with comes from this run.
import { fork, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createHistogram } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'
import { Router } from 'zeromq'
import { Child } from '../cli/up/child.ts'
import { systemClock } from '../mesh/index.ts'
import { loadConfig, openSession } from '../nodes/index.ts'
import { FLEET_STREAM } from '../sim/index.ts'
import { bytesPerTruckRow, measureEncode } from './codec.ts'
import { fdatasyncUs } from './measure/machine.ts'
import type { LoadRequest, LoadResult } from './smoke-load.ts'

export interface SmokeResult {
  readonly durableSamplesPerSecond: number
  readonly singleSampleFramesPerSecond: number
  readonly liveP50OverRaw: number
  readonly storedP50OverFdatasync: number
  readonly encodeSamplesPerSecond: number
  readonly bytesPerTruckRow: number
}

const SECONDS = Number(process.env['SMOKE_SECONDS'] ?? 6)
/** A frame of one fleet sample in its envelope. */
const FRAME_BYTES = 150
/** On disk, like the stores: a tmpfs would flatter everything. */
const SCRATCH = join(process.cwd(), '.skein-bench-')

export async function run({ json }: { json: boolean }): Promise<void> {
  const directory = mkdtempSync(SCRATCH)
  const say = (line: string): void => void process.stderr.write(`${line}\n`)
  const stores: Child[] = []
  try {
    const store = (name: string, seeds: readonly string[]): Child =>
      new Child({
        name,
        role: 'storage',
        onMessage: () => undefined,
        onLog: say,
        args: () => [
          ...seeds.flatMap((seed) => ['--seed', seed]),
          '--data',
          directory,
          '--set',
          'zeromq.bind=tcp://127.0.0.1:0',
          'node',
          'storage',
          '--name',
          name,
        ],
      })
    const first = store('storage-1', ['tcp://127.0.0.1:0'])
    stores.push(first)
    await first.start()
    const second = store('storage-2', [first.endpoint!])
    stores.push(second)
    await second.start()
    const result = await measure(first.endpoint!, directory, say)
    if (json) process.stdout.write(`${JSON.stringify(result)}\n`)
    else for (const [name, value] of Object.entries(result)) say(`${name.padEnd(30)} ${value}`)
  } finally {
    for (const child of stores) await child.stop(1_000)
    rmSync(directory, { recursive: true, force: true })
  }
}

async function measure(
  seed: string,
  directory: string,
  say: (line: string) => void,
): Promise<SmokeResult> {
  const encode = measureEncode()
  const loader = await Loader.start(seed)
  try {
    const frames = await loader.run({ kind: 'frames', seconds: SECONDS, frameSamples: 100 })
    say(`frames of 100: ${describe(frames)}`)
    const singles = await loader.run({ kind: 'singles', seconds: SECONDS, sources: 10_000 })
    say(`single samples: ${describe(singles)}`)
    say(`fdatasync of 4 KiB on the idle disk: p50 ${fdatasyncUs()} µs`)
    const { live, raw, stored, fdatasync } = await latency(loader, seed, directory, say)
    return {
      durableSamplesPerSecond: Math.round(frames.samples / frames.seconds),
      singleSampleFramesPerSecond: Math.round(singles.frames / singles.seconds),
      liveP50OverRaw: round(live / raw),
      storedP50OverFdatasync: round(stored / fdatasync),
      encodeSamplesPerSecond: Math.round(encode.encodeSamplesPerSecond),
      bytesPerTruckRow: round(bytesPerTruckRow(128, true)),
    }
  } finally {
    loader.stop()
  }
}

/** p50, µs. */
interface Latencies {
  readonly live: number
  readonly raw: number
  readonly stored: number
  readonly fdatasync: number
}

/** Live, raw and stored latency, and the disk's, all in the same seconds. */
async function latency(
  loader: Loader,
  seed: string,
  directory: string,
  say: (line: string) => void,
): Promise<Latencies> {
  const { config } = loadConfig({
    cwd: process.cwd(),
    env: {},
    overrides: [{ key: 'seeds', value: [seed], flag: 'bench' }],
  })
  const liveUs = createHistogram()
  const rawUs = createHistogram()
  await using session = await openSession(config, { roles: ['subscriber'] })
  await session.subscriber({
    streams: [FLEET_STREAM],
    onFrames: (frames) => {
      const nowUs = systemClock.nowUs()
      for (const { samples } of frames) {
        for (const { timeUs } of samples) liveUs.record(Math.max(1, nowUs - timeUs))
      }
    },
  })
  const router = new Router({ linger: 0 })
  await router.bind('tcp://127.0.0.1:*')
  const receiving = (async () => {
    for await (const [, message] of router) {
      const nowUs = systemClock.nowUs()
      rawUs.record(Math.max(1, Math.round(nowUs - message!.readDoubleLE(0))))
    }
  })()
  await using disk = new DiskProbe(join(directory, 'probe'))
  const request = {
    kind: 'paced',
    rate: 1000,
    endpoint: router.lastEndpoint!,
    bytes: FRAME_BYTES,
  } as const
  const { storedP50Us: stored } = await loader.run({ ...request, seconds: 3 * SECONDS })
  const fdatasync = disk.p50Us()
  router.close()
  await receiving.catch(() => undefined)
  const [live, raw] = [liveUs.percentile(50), rawUs.percentile(50)]
  say(
    `live p50 ${live} p99 ${liveUs.percentile(99)} µs, raw p50 ${raw} p99 ${rawUs.percentile(99)} µs, ` +
      `stored p50 ${stored} µs, fdatasync p50 ${fdatasync} µs beside it`,
  )
  return { live, raw, stored, fdatasync }
}

class Loader {
  private readonly child: ChildProcess

  private constructor(child: ChildProcess) {
    this.child = child
  }

  static async start(seed: string): Promise<Loader> {
    const execArgv = process.env['LOAD_PROFILE'] === undefined ? [] : ['--cpu-prof']
    const child = fork(join(import.meta.dirname, 'smoke-load.ts'), [seed], { execArgv })
    await new Promise((resolve) => child.once('message', resolve))
    return new Loader(child)
  }

  run(request: LoadRequest): Promise<LoadResult> {
    this.child.send(request)
    return new Promise((resolve, reject) => {
      this.child.once('message', (result) => resolve(result as LoadResult))
      this.child.once('exit', (code) => reject(new Error(`load process ended with ${code}`)))
    })
  }

  stop(): void {
    this.child.send({ kind: 'stop', seconds: 0 } satisfies LoadRequest)
  }
}

/** Appends and syncs 4 KiB fifty times a second beside whatever else goes on, on a thread of its own. */
class DiskProbe implements AsyncDisposable {
  private readonly worker: Worker
  private readonly took: number[] = []

  constructor(path: string) {
    this.worker = new Worker(join(import.meta.dirname, 'disk-probe.ts'), { workerData: path })
    this.worker.on('message', (us: number) => this.took.push(us))
  }

  p50Us(): number {
    const sorted = this.took.toSorted((a, b) => a - b)
    return Math.round(sorted[sorted.length >> 1]!)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker.terminate()
  }
}

function describe({ samples, frames, seconds, cpuSeconds }: LoadResult): string {
  return (
    `${Math.round(samples / seconds)} samples/s, ${Math.round(frames / seconds)} frames/s, ` +
    `publisher CPU ${(cpuSeconds / seconds).toFixed(2)} cores`
  )
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
