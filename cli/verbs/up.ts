// `skein up`: a whole mesh on this machine, watched. On a terminal a table that redraws; otherwise a
// line now and then; with --json one line at the end.
import { rmSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import { stopRequested, type Override } from '../../nodes/index.ts'
import { parseDuration } from '../../storage/index.ts'
import {
  contextOf,
  readMeshFile,
  removeMeshFile,
  wantsJson,
  writeMeshFile,
  type GlobalFlags,
} from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { LiveRegion } from '../format/live-region.ts'
import { paintFor } from '../format/paint.ts'
import { bytes, durationUs, rate } from '../format/units.ts'
import { upView, type UpState } from '../format/up-view.ts'
import { note, printJson, printLine, UsageError } from '../output.ts'
import { quantiles } from '../up/histogram.ts'
import { LocalMesh } from '../up/local-mesh.ts'
import { summarise, type Summary } from '../up/summary.ts'

interface UpFlags {
  readonly vehicles?: string
  readonly rate?: string
  readonly storage?: string
  readonly duration?: string
  readonly fresh?: boolean
}

const REDRAW_MS = 500
const LINE_EVERY_MS = 5_000

export function addUp(program: Command): void {
  program
    .command('up')
    .description('run a mesh on this machine: storage peers, an aggregator and a simulated fleet')
    .option('--vehicles <n>', 'vehicles of the fleet (default: 4; 0 for none)')
    .option('--rate <n>', 'samples a second of each vehicle (default: 1)')
    .option('--storage <n>', 'storage peers (default: 3)')
    .option('--duration <time>', 'end after 20s, 5m …')
    .option('--fresh', 'remove what earlier runs stored first')
    .action(up)
}

async function up(flags: UpFlags, command: Command): Promise<void> {
  const durationMs = durationOf(flags.duration)
  const { config } = contextOf(command, overridesOf(flags))
  const json = wantsJson(command)
  const running = readMeshFile(config.dataPath)
  if (running !== undefined) {
    throw new UsageError(
      `a mesh is already running on ${config.dataPath} (process ${running.pid}): stop it, or give this one another --data and --seed`,
    )
  }
  if (config.up.storage < config.mesh.replicas) {
    throw new UsageError(
      `${config.up.storage} storage peers cannot keep ${config.mesh.replicas} replicas: raise --storage or lower mesh.replicas and mesh.writeQuorum`,
    )
  }
  if (flags.fresh === true) rmSync(config.dataPath, { recursive: true, force: true })
  const stopping = stopRequested()
  const mesh = new LocalMesh({ config, flags: childFlags(flags, command) })
  try {
    await mesh.start()
    writeMeshFile(config.dataPath, mesh.seeds)
    const view = json ? undefined : watch(mesh, config.mesh.name, config.transport.name)
    const ended = new AbortController()
    await Promise.race([
      stopping,
      delay(durationMs, undefined, { signal: ended.signal, ref: true }),
    ])
    ended.abort()
    const delivered = await mesh.stopFleet()
    const summary = await summarise(mesh, config)
    view?.end()
    if (json) printJson(summary)
    else tell(summary)
    if (!delivered) process.exitCode = EXIT.undelivered
    else if (summary.samples.stored !== summary.samples.published) process.exitCode = EXIT.failed
  } finally {
    removeMeshFile(config.dataPath)
    await mesh.stop()
  }
}

interface View {
  end(): void
}

/** Shows the mesh until told to end. */
function watch(mesh: LocalMesh, name: string, transport: string): View {
  const { stdout } = process
  const paint = paintFor(stdout, process.env)
  const region = new LiveRegion()
  const rates = new Rates(mesh)
  let lastLineMs = 0
  const show = (): void => {
    const state = stateOf(mesh, name, transport, rates.next())
    if (stdout.isTTY) {
      const size = { columns: stdout.columns, rows: stdout.rows }
      stdout.write(region.draw(upView(state, size, paint), size))
    } else if (state.uptimeMs - lastLineMs >= LINE_EVERY_MS) {
      lastLineMs = state.uptimeMs
      printLine(progressLine(state))
    }
  }
  if (!stdout.isTTY)
    note(`mesh ${name} is up; another terminal can: npx skein query latest -s vehicle.motion`)
  const timer = setInterval(show, REDRAW_MS)
  show()
  return {
    end: () => {
      clearInterval(timer)
      show()
      if (stdout.isTTY) stdout.write(region.end())
    },
  }
}

function stateOf(mesh: LocalMesh, name: string, transport: string, flow: Flow): UpState {
  const live = quantiles(mesh.liveUs)
  const { storedUs, fleet, trouble } = mesh
  const refusing = [...mesh.stores].flatMap(([store, { refusing: why }]) =>
    why === undefined ? [] : [`${store}: ${why}`],
  )
  return {
    ...{ mesh: name, transport, nodes: mesh.nodes() },
    uptimeMs: (Date.now() * 1000 - mesh.startedUs) / 1000,
    urls: mesh
      .storeChildren()
      .flatMap(({ http }) => http ?? [])
      .slice(0, 1),
    ...flow,
    ...(storedUs.max > 0 && { storedP50Us: storedUs.p50, storedP99Us: storedUs.p99 }),
    ...(live.max > 0 && { liveP50Us: live.p50, liveP99Us: live.p99 }),
    pendingSamples: fleet?.pending ?? 0,
    droppedSamples: (fleet?.refused ?? 0) + (fleet?.dropped ?? 0),
    messages: [
      ...(trouble === undefined ? [] : [`not acknowledging: ${trouble}`]),
      ...refusing,
      ...mesh.messages,
    ],
  }
}

function progressLine({ publishedPerSecond, storedPerSecond, ...state }: UpState): string {
  const parts = [`${rate(publishedPerSecond)} published`, `${rate(storedPerSecond)} stored`]
  if (state.storedP50Us !== undefined) parts.push(`stored p50 ${durationUs(state.storedP50Us)}`)
  if (state.liveP50Us !== undefined) parts.push(`live p50 ${durationUs(state.liveP50Us)}`)
  if (state.messages[0] !== undefined) parts.push(state.messages[0])
  return parts.join('   ')
}

type Flow = Pick<UpState, 'publishedPerSecond' | 'storedPerSecond'>

/** Rates from counts, over the time since they were last asked for. */
class Rates {
  private readonly mesh: LocalMesh
  private atMs = performance.now()
  private published = 0
  private stored = 0
  private flow: Flow = { publishedPerSecond: 0, storedPerSecond: 0 }

  constructor(mesh: LocalMesh) {
    this.mesh = mesh
  }

  next(): Flow {
    const { published = 0, stored = 0 } = this.mesh.fleet ?? {}
    const seconds = (performance.now() - this.atMs) / 1000
    if (seconds < 0.9) return this.flow
    this.flow = {
      publishedPerSecond: (published - this.published) / seconds,
      storedPerSecond: (stored - this.stored) / seconds,
    }
    this.atMs = performance.now()
    this.published = published
    this.stored = stored
    return this.flow
  }
}

function tell({ samples, latencyUs, bytes: size, complete, peers }: Summary): void {
  printLine(
    `${samples.published} samples published, ${samples.stored} stored on ${peers.length} peers ` +
      `(${samples.duplicates} duplicates, ${samples.gaps} gaps${complete ? ', complete' : ', NOT complete'})`,
  )
  const { live, stored } = latencyUs
  printLine(
    `live p50 ${durationUs(live.p50)} p99 ${durationUs(live.p99)}   ` +
      `stored p50 ${durationUs(stored.p50)} p99 ${durationUs(stored.p99)}   ` +
      `${bytes(size.stored)} on disk`,
  )
}

function overridesOf({ vehicles, rate: perSecond, storage }: UpFlags): Override[] {
  return [
    { key: 'up.vehicles', value: vehicles, flag: '--vehicles' },
    { key: 'up.rate', value: perSecond, flag: '--rate' },
    { key: 'up.storage', value: storage, flag: '--storage' },
  ].filter(({ value }) => value !== undefined)
}

/** What the nodes are to be told of this command line: the same configuration, without the seeds. */
function childFlags(flags: UpFlags, command: Command): string[] {
  const { config, data, set = [] } = command.optsWithGlobals<GlobalFlags>()
  return [
    ...(config === undefined ? [] : ['--config', config]),
    ...(data === undefined ? [] : ['--data', data]),
    ...set.flatMap((text) => ['--set', text]),
    ...overridesOf(flags).flatMap(({ key, value }) => ['--set', `${key}=${String(value)}`]),
  ]
}

function durationOf(text: string | undefined): number | undefined {
  if (text === undefined) return 2 ** 31 - 1
  const us = parseDuration(text)
  if (us === undefined || us <= 0) {
    throw new UsageError(`--duration ${text} is no duration; expected one such as 20s or 5m`)
  }
  return us / 1000
}
