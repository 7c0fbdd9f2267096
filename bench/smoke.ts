// The smoke bench: is a mesh on this machine about as fast as it should be? Two storage peers, R = 2,
// W = 2, synced, over ZeroMQ; the publisher in a process of its own; this process is the live
// subscriber. Everything shares the machine, and every figure it is compared with comes from this run.
import { fork, type ChildProcess } from 'node:child_process'
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createHistogram } from 'node:perf_hooks'
import { Router } from 'zeromq'
import { Child } from '../cli/up/child.ts'
import { systemClock } from '../mesh/index.ts'
import { loadConfig, openSession } from '../nodes/index.ts'
import { FLEET_STREAM } from '../sim/index.ts'
import { bytesPerTruckRow, measureEncode } from './codec.ts'
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
/** On disk, like the stores: a tmpfs would flatter everything. */
const SCRATCH = join(process.cwd(), '.skein-bench-')

export async function run({ json }: { json: boolean }): Promise<void> {
  const directory = mkdtempSync(SCRATCH)
  const say = (line: string): void => void process.stderr.write(`${line}\n`)
  const stores: Child[] = []
  try {
    const store = (name: string, seeds: readonly string[]): Child =>
      new Child({
        ...{
          name,
          role: 'storage',
          onMessage: () => undefined,
          onLog: say,
          onChange: () => undefined,
        },
        args: () => [
          ...seeds.flatMap((seed) => ['--seed', seed]),
          ...['--data', directory, '--set', 'zeromq.bind=tcp://127.0.0.1:0'],
          ...['node', 'storage', '--name', name],
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
    const fdatasyncUs = fdatasyncP50Us(directory)
    const { live, raw, stored } = await latency(loader, seed, say)
    return {
      durableSamplesPerSecond: Math.round(frames.samples / frames.seconds),
      singleSampleFramesPerSecond: Math.round(singles.frames / singles.seconds),
      liveP50OverRaw: round(live / raw),
      storedP50OverFdatasync: round(stored / fdatasyncUs),
      encodeSamplesPerSecond: Math.round(encode.encodeSamplesPerSecond),
      bytesPerTruckRow: round(bytesPerTruckRow(128, true)),
    }
  } finally {
    loader.stop()
  }
}

/** Live and raw latency in alternating blocks, so that a noisy moment meets both. */
async function latency(
  loader: Loader,
  seed: string,
  say: (line: string) => void,
): Promise<{ live: number; raw: number; stored: number }> {
  const { config } = loadConfig({
    cwd: process.cwd(),
    env: {},
    overrides: [{ key: 'seeds', value: [seed], flag: 'bench' }],
  })
  const liveUs = createHistogram()
  const rawUs = createHistogram()
  let frameBytes = 0
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
  const storedUs: number[] = []
  for (let block = 0; block < 3; block++) {
    const result = await loader.run({ kind: 'paced', seconds: 3, rate: 1000 })
    storedUs.push(result.storedP50Us)
    frameBytes = 150
    await loader.run({
      kind: 'raw',
      seconds: 3,
      rate: 1000,
      endpoint: router.lastEndpoint!,
      bytes: frameBytes,
    })
  }
  router.close()
  await receiving.catch(() => undefined)
  const [live, raw] = [liveUs.percentile(50), rawUs.percentile(50)]
  const stored = storedUs.sort((a, b) => a - b)[1]!
  say(
    `live p50 ${live} p99 ${liveUs.percentile(99)} µs, raw p50 ${raw} p99 ${rawUs.percentile(99)} µs, stored p50 ${stored} µs`,
  )
  return { live, raw, stored }
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

function fdatasyncP50Us(directory: string): number {
  const fd = openSync(join(directory, 'fdatasync'), 'w')
  const block = Buffer.alloc(4096, 7)
  const took: number[] = []
  for (let i = 0; i < 300; i++) {
    const startMs = performance.now()
    writeSync(fd, block)
    fdatasyncSync(fd)
    took.push((performance.now() - startMs) * 1000)
  }
  closeSync(fd)
  return took.sort((a, b) => a - b)[150]!
}

function describe({
  samples,
  frames,
  seconds,
  cpuSeconds,
  storedP50Us,
  storedP99Us,
}: LoadResult): string {
  return (
    `${Math.round(samples / seconds)} samples/s, ${Math.round(frames / seconds)} frames/s, ` +
    `stored p50 ${storedP50Us} p99 ${storedP99Us} µs, publisher CPU ${(cpuSeconds / seconds).toFixed(2)} cores`
  )
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
