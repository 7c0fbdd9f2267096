// `skein up`: a whole mesh on this machine, watched. On a terminal a table that redraws; otherwise a
// line now and then; with --json one line at the end.
import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import { MeshError } from '../../mesh/index.ts'
import { STOP_MS, stopRequested, type Config, type Override } from '../../nodes/index.ts'
import { parseDuration } from '../../storage/index.ts'
import { contextOf, wantsJson, type GlobalFlags } from '../context.ts'
import { outboxKeeps, undeliveredText } from '../drain.ts'
import { counted } from '../counted.ts'
import { EXIT } from '../exit-codes.ts'
import { note, printJson, printLine, UsageError, warner } from '../output.ts'
import type { StartError } from '../up/child.ts'
import { DataDirectory } from '../up/data-directory.ts'
import { LocalMesh } from '../up/local-mesh.ts'
import { surround } from '../up/surroundings.ts'
import { summarise, summaryLines, type Summary } from '../up/summary.ts'
import { watch } from '../up/watch.ts'

interface UpFlags {
  readonly vehicles?: string
  readonly rate?: string
  readonly storage?: string
  readonly duration?: string
  readonly fresh?: boolean
}

const AFTER_HELP = `
Examples:
  skein up --vehicles 200 --rate 10         a busier fleet
  skein up --transport nats                 the same over NATS JetStream
  skein up --duration 20s --json --fresh    one line of JSON, from empty stores
  skein up --data .other --seed tcp://127.0.0.1:7711    a second mesh beside it
  skein up --storage 1 --set mesh.replicas=1 --set mesh.writeQuorum=1

What was stored is still there at the next start. Ctrl-C drains, flushes and
ends within 10 s; a second one ends at once.`

/** After a signal the whole of stopping takes at most STOP_MS: of that, the fleet's drain and the count. */
const HURRIED = { fleetMs: STOP_MS - 5_000, summaryMs: 1_000, aggregatorMs: 500 }
/** A run that ended as planned waits for its last acknowledgements. */
const PLANNED = { fleetMs: 30_000, summaryMs: 60_000, aggregatorMs: 5_000 }
const TIMEOUT_MS_MAX = 2 ** 31 - 1

export function addUp(program: Command): void {
  program
    .command('up')
    .description('run a mesh on this machine: storage peers, an aggregator and a simulated fleet')
    .option('--vehicles <n>', 'vehicles of the fleet (default: 4; 0 for none)')
    .option('--rate <n>', 'samples a second of each vehicle (default: 1)')
    .option('--storage <n>', 'storage peers (default: 3)')
    .option('--duration <time>', 'end after 20s, 5m … (default: at Ctrl-C)')
    .option('--fresh', 'first remove what earlier runs stored in the data directory')
    .addHelpText('after', AFTER_HELP)
    .action(up)
}

async function up(flags: UpFlags, command: Command): Promise<void> {
  const durationMs = durationOf(flags.duration)
  const { config: configured } = contextOf(command, overridesOf(flags))
  checkStores(configured)
  const json = wantsJson(command)
  const stopping = stopRequested()
  await using data = await DataDirectory.claim(configured.dataPath)
  if (flags.fresh === true) await data.empty()
  const say = json ? () => undefined : note
  await using surroundings = await surround(configured, flags.fresh === true, say)
  const { config } = surroundings
  const mesh: LocalMesh = new LocalMesh({
    config,
    flags: [...childFlags(flags, command), ...surroundings.flags],
    onLog: (line) => view.log(line),
  })
  // A second signal ends this process at once: its nodes with it.
  process.once('exit', () => mesh.kill())
  let limits = HURRIED
  let stopByMs = Infinity
  void stopping.then(() => (stopByMs = performance.now() + STOP_MS))
  const started = startMesh(mesh, config, data).then(() => 'started' as const)
  const view = watch(mesh, config, json, warner(json))
  void stopping.then(() => view.stopping())
  try {
    // What is still starting when it is stopped fails, and nobody wants to know.
    started.catch(() => undefined)
    if ((await Promise.race([started, stopping])) === 'started') {
      view.started()
      if ((await ended(stopping, durationMs)) === 'done') limits = PLANNED
      await mesh.stopFleet(limits.fleetMs)
      const summary = await summarise(mesh, config, limits.summaryMs)
      view.end()
      if (json) printJson(summary)
      else for (const line of summaryLines(summary)) printLine(line)
      process.exitCode = exitCodeOf(mesh, config, summary, json)
    }
  } finally {
    view.end()
    await mesh.stop({ ...limits, stopByMs: Math.min(stopByMs, performance.now() + STOP_MS) })
  }
}

/** @throws StartError; MeshError MESH_ADDRESS_IN_USE, in which zeromq.bind is no help: here it is --seed. */
async function startMesh(mesh: LocalMesh, config: Config, data: DataDirectory): Promise<void> {
  try {
    await mesh.start((reach) => data.announce(reach))
  } catch (error) {
    const [endpoint = ''] = config.seeds
    if ((error as StartError).code !== 'MESH_ADDRESS_IN_USE') throw error
    throw new MeshError(
      'MESH_ADDRESS_IN_USE',
      `storage-1: cannot listen on ${endpoint}: another process listens there, perhaps another mesh. ` +
        `Stop it, or give this mesh another --data and another --seed, e.g. ${nextPort(endpoint)}`,
      { retryable: true, cause: error, details: { endpoint } },
    )
  }
}

const nextPort = (endpoint: string): string =>
  endpoint.replace(/\d+$/, (port) => String(Number(port) + 10))

async function ended(stopping: Promise<unknown>, durationMs: number): Promise<'done' | 'signal'> {
  const timer = new AbortController()
  const duration = delay(durationMs, 'done' as const, { signal: timer.signal })
  // Aborted below: nobody waits for it any more.
  duration.catch(() => undefined)
  const why = await Promise.race([stopping.then(() => 'signal' as const), duration])
  timer.abort()
  return why
}

/** And says why it is not 0. */
function exitCodeOf(mesh: LocalMesh, config: Config, { samples }: Summary, json: boolean): number {
  const { pending } = mesh.fleet
  if (pending > 0) {
    warner(json)(undeliveredText(pending, config, mesh.trouble))
    return outboxKeeps(config) ? EXIT.ok : EXIT.undelivered
  }
  const { published, stored, duplicates } = samples
  if (stored === null || (stored === published && duplicates === 0)) return EXIT.ok
  warner(json)(
    `${counted(published, 'sample')} published but ${stored} stored, ${duplicates} of them twice`,
  )
  return EXIT.failed
}

function checkStores({ up: { storage }, mesh: { replicas } }: Config): void {
  if (storage >= replicas) return
  const fits = Math.max(1, storage)
  throw new UsageError(
    `--storage ${storage} cannot keep ${replicas} replicas: raise it, or found another mesh with ` +
      `--set mesh.replicas=${fits} --set mesh.writeQuorum=${fits} --fresh`,
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
  const { config, data, transport, set = [] } = command.optsWithGlobals<GlobalFlags>()
  return [
    ...(config === undefined ? [] : ['--config', config]),
    ...(data === undefined ? [] : ['--data', data]),
    ...(transport === undefined ? [] : ['--transport', transport]),
    ...set.flatMap((text) => ['--set', text]),
    ...overridesOf(flags).flatMap(({ key, value }) => ['--set', `${key}=${String(value)}`]),
  ]
}

function durationOf(text: string | undefined): number {
  if (text === undefined) return TIMEOUT_MS_MAX
  const us = parseDuration(text)
  if (us === undefined || us <= 0) {
    throw new UsageError(`--duration ${text} is no duration; expected one such as 20s or 5m`)
  }
  return Math.min(us / 1000, TIMEOUT_MS_MAX)
}
