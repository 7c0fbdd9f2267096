// `skein node storage|aggregator|fleet`: one node, in the foreground; what containers run, and what
// `skein up` starts several of. It drains and exits 0 on SIGTERM, SIGINT, or when its parent says so.
import type { Command } from 'commander'
import { systemClock } from '../../mesh/index.ts'
import {
  AggregatorNode,
  NodeError,
  openSession,
  StorageNode,
  STOP_MS,
  stopRequested,
  type Config,
} from '../../nodes/index.ts'
import { FLEET_SCHEMA, FLEET_STREAM, FleetRun } from '../../sim/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { note, printJson, reportError, warner, type Warn } from '../output.ts'
import { allTold, tellParent, type ChildMessage, type StopMessage } from '../up/child-messages.ts'
import { quantiles } from '../up/histogram.ts'

interface NodeFlags {
  readonly name: string
  readonly bind?: string
}

interface NodeOptions {
  readonly config: Config
  /** Names its part of the data directory. */
  readonly name: string
  readonly warn: Warn
}

interface RunningNode {
  readonly ready: Extract<ChildMessage, { type: 'ready' }>
  /** What people read when it is ready. */
  readonly about: string
  stats(): Promise<ChildMessage>
  /** Drains; returns how many samples could not be delivered and are kept nowhere. */
  stop(drainMs: number): Promise<number>
}

const STATS_MS = 500
/** Of the time to stop, what closing takes after draining. */
const CLOSE_MS = 1_000

const AFTER_HELP = `
A mesh by hand, each line in a terminal or on a machine of its own, in any order:
  skein node storage --name s1 --bind tcp://127.0.0.1:7701     founds it: its seed is itself
  skein node storage --name s2
  skein node aggregator
  skein node fleet

SIGTERM or SIGINT drains, flushes and ends within 10 s; a second one ends at once.`

const KINDS = {
  storage: { start: storage, what: 'a storage peer: keeps frames, answers queries' },
  aggregator: {
    start: aggregator,
    what: 'windows and thresholds over live streams, published back as streams',
  },
  fleet: { start: fleet, what: 'simulated vehicles' },
} as const

export function addNode(program: Command): void {
  const node = program
    .command('node')
    .description('run one node in the foreground')
    .addHelpText('after', AFTER_HELP)
  for (const [role, { start, what }] of Object.entries(KINDS)) {
    const verb = node
      .command(role)
      .description(what)
      .option('--name <name>', 'names its directory under --data', role)
    if (role !== 'fleet') {
      verb.option(
        '--bind <endpoint>',
        'where others reach it (default: any free port of 127.0.0.1)',
      )
    }
    verb.action((flags: NodeFlags, command: Command) => runNode(command, flags, start))
  }
}

async function runNode(
  command: Command,
  { name, bind }: NodeFlags,
  start: (options: NodeOptions) => Promise<RunningNode>,
): Promise<void> {
  const isChild = process.send !== undefined
  const json = wantsJson(command)
  const warn = isChild
    ? (message: string) => tellParent({ type: 'warning', message })
    : warner(json)
  const stopping = stopRequested()
  let drainMs = STOP_MS - CLOSE_MS
  process.on('message', (message: StopMessage) => {
    drainMs = message.drainMs ?? drainMs
    process.emit('SIGTERM')
  })
  try {
    const loaded = contextOf(
      command,
      bind === undefined ? [] : [{ key: 'zeromq.bind', value: bind, flag: '--bind' }],
    )
    const { config } = isChild ? loaded : findMesh(command, loaded)
    const starting = start({ config, name, warn })
    // Stopped while it starts: what it has opened ends with the process.
    const node = await Promise.race([starting, stopping.then(() => undefined)])
    if (node === undefined) process.exit(EXIT.ok)
    tellParent(node.ready)
    if (!isChild && json) printJson({ ...node.ready, name })
    else if (!isChild) note(`${name} is ready: ${node.about}`)
    const timer = setInterval(() => void node.stats().then(tellParent), STATS_MS)
    const why = await stopping
    if (!isChild && !json) note(`${why}: draining; a second one ends at once`)
    clearInterval(timer)
    const undelivered = await inTime(node.stop(drainMs), drainMs + CLOSE_MS)
    if (undelivered > 0) {
      warn(
        `${undelivered} samples were not acknowledged and no disk outbox keeps them: they are lost ` +
          '(publisher.outbox.disk keeps them for the next start)',
      )
      process.exitCode = EXIT.undelivered
    }
  } catch (error) {
    const { code = 'INTERNAL', message } = error as Error & { code?: string }
    tellParent({ type: 'failed', code, message })
    // A parent has the message; a stack of something unforeseen must not get lost.
    const isSaid = isChild && code !== 'INTERNAL'
    process.exitCode = isSaid ? EXIT.failed : reportError(error, json)
  }
  await allTold()
  if (process.connected) process.disconnect()
  // Sockets of a library that is slow to let go must not keep a stopped node.
  setTimeout(() => process.exit(), CLOSE_MS).unref()
}

async function inTime(stopped: Promise<number>, limitMs: number): Promise<number> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const seconds = limitMs / 1000
    reject(
      new NodeError(
        'NODE_STOP_TIMEOUT',
        `it did not close within ${seconds} s and is ended as it is; what was acknowledged is on disk`,
      ),
    )
  }, limitMs)
  try {
    return await Promise.race([stopped, late])
  } finally {
    clearTimeout(timer)
  }
}

async function storage({ config, name, warn }: NodeOptions): Promise<RunningNode> {
  const node = new StorageNode({ config, name, onWarning: warn })
  await node.start()
  const { endpoint, http, storeId } = node
  const stats = async (): Promise<ChildMessage> => ({ type: 'storage', stats: await node.stats() })
  return {
    ready: { type: 'ready', endpoint, http },
    about: `store ${storeId} at ${endpoint}, HTTP at ${http}, seeds ${config.seeds.join(', ')}`,
    stats,
    stop: async () => {
      await node.close()
      return 0
    },
  }
}

async function aggregator({ config, name, warn }: NodeOptions): Promise<RunningNode> {
  const session = await openSession(config, { roles: ['aggregator'], onWarning: warn })
  const node = new AggregatorNode({
    session,
    config,
    clock: systemClock,
    outboxName: name,
    inputSchemas: { [FLEET_STREAM]: FLEET_SCHEMA },
  })
  await node.start()
  const { reads, writes } = node.streams
  const stats = (): ChildMessage => {
    const { samples, results, pending } = node
    return { type: 'aggregator', samples, results, pending, rssBytes: process.memoryUsage.rss() }
  }
  return {
    ready: { type: 'ready' },
    about: reads.length === 0 ? 'nothing to do' : `${reads.join(', ')} → ${writes.join(', ')}`,
    stats: () => Promise.resolve(stats()),
    stop: async (drainMs) => {
      const undelivered = await node.close(drainMs)
      tellParent(stats())
      await session.close()
      return lost(config, undelivered)
    },
  }
}

async function fleet({ config, name, warn }: NodeOptions): Promise<RunningNode> {
  const run = new FleetRun({ config, outboxName: name, onWarning: warn })
  await run.start()
  const { vehicles, samplesPerSecond } = config.up
  const stats = (): ChildMessage => ({
    type: 'fleet',
    counts: run.counts(),
    storedUs: quantiles(run.storedLatencyUs),
    trouble: run.trouble(),
    rssBytes: process.memoryUsage.rss(),
  })
  return {
    ready: { type: 'ready' },
    about: `${vehicles} vehicles, ${samplesPerSecond} samples a second each, as ${FLEET_STREAM}`,
    stats: () => Promise.resolve(stats()),
    stop: async (drainMs) => {
      const undelivered = await run.close(drainMs)
      tellParent(stats())
      return lost(config, undelivered)
    },
  }
}

/** What a disk outbox keeps is late, not lost. */
function lost(config: Config, undelivered: number): number {
  return config.publisher.outbox.diskBytes === undefined ? undelivered : 0
}
