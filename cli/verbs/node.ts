// `skein node storage|aggregator|fleet`: one node, in the foreground; what containers run, and what
// `skein up` starts several of. It drains and exits 0 on SIGTERM, SIGINT, or when its parent says so.
import { Option, type Command } from 'commander'
import { systemClock } from '../../mesh/index.ts'
import {
  hasSeeds,
  AggregatorNode,
  NodeError,
  openSession,
  StorageNode,
  STOP_MS,
  stopRequested,
  whereabouts,
  type Config,
} from '../../nodes/index.ts'
import { FLEET_SCHEMA, FLEET_STREAM, FleetRun } from '../../sim/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { CLOSE_MS, outboxKeeps, undeliveredText } from '../drain.ts'
import { EXIT } from '../exit-codes.ts'
import { nodeName } from '../node-name.ts'
import { note, printJson, reportError, warner, type Warn } from '../output.ts'
import { allTold, tellParent, type ChildMessage, type StopMessage } from '../up/child-messages.ts'
import { quantiles } from '../up/histogram.ts'
import { TOGETHER_MS, tellTrouble, whyUnstored } from '../waiting.ts'

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
  /** What they read before that, of a store that others have to confirm first. */
  readonly listens?: string
  /** Why it does not get on just now; undefined when it does. */
  trouble(): string | undefined
  stats(): Promise<ChildMessage>
  /** Drains; returns how many samples could not be delivered and are kept nowhere. */
  stop(drainMs: number): Promise<number>
}

const STATS_MS = 500

const AFTER_HELP = `
A mesh by hand, each line in a terminal or on a machine of its own, in any
order. s1 founds it: its only seed is itself.
  skein node storage --name s1 --bind tcp://127.0.0.1:7701
  skein node storage --name s2
  skein node aggregator
  skein node fleet

SIGTERM or SIGINT drains, flushes and ends within 10 s; a second one ends at
once.`

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
      .addOption(
        new Option('--name <name>', 'names its directory under --data')
          .argParser(nodeName)
          .default(role, role),
      )
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
  // What is thrown out of a timer or a callback ends the node: then it says why, as at its start.
  process.once('uncaughtException', (error) => process.exit(reportError(error, json)))
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
    const telling = isChild ? tellParentTrouble(node, warn) : tellPeople(node, name, json, warn)
    const tellStats = (): void => void node.stats().then(tellParent)
    const timer = isChild ? setInterval(tellStats, STATS_MS) : undefined
    const why = await stopping
    if (!isChild && !json) note(`${why}: draining; a second one ends at once`)
    clearInterval(timer)
    telling[Symbol.dispose]()
    const undelivered = await inTime(node.stop(drainMs), drainMs + CLOSE_MS)
    if (undelivered > 0) {
      warn(undeliveredText(undelivered, config))
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

/** That it is ready, as soon as it is, and what it waits for. */
function tellPeople(node: RunningNode, name: string, json: boolean, warn: Warn): Disposable {
  const say = (type: 'listening' | 'ready', text: string): void => {
    if (json) printJson({ ...node.ready, type, name })
    else note(`${name} ${text}`)
  }
  let isReady = false
  const trouble = (): string | undefined => {
    const reason = node.trouble()
    if (!isReady && (reason === undefined || node.listens === undefined)) {
      isReady = true
      say('ready', `is ready: ${node.about}`)
    }
    return reason
  }
  if (node.listens !== undefined && node.trouble() !== undefined) say('listening', node.listens)
  return tellTrouble(trouble, warn)
}

/** A parent sees by itself what becomes of samples, but not why a store waits. */
function tellParentTrouble(node: RunningNode, warn: Warn): Disposable {
  const trouble = (): string | undefined =>
    node.listens === undefined ? undefined : node.trouble()
  return tellTrouble(trouble, warn, { patienceMs: TOGETHER_MS })
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
  const reached = endpoint === undefined ? whereabouts(config) : `at ${endpoint}`
  const others = hasSeeds(config.transport.name) ? `, seeds ${config.seeds.join(', ')}` : ''
  const stats = async (): Promise<ChildMessage> => ({ type: 'storage', stats: await node.stats() })
  return {
    ready: { type: 'ready', endpoint, http },
    about: `store ${storeId} ${reached}, HTTP at ${http}${others}`,
    listens: `listens ${reached}, HTTP at ${http}; waiting for a store ${whereabouts(config)} to confirm it`,
    trouble: () => node.refusing(),
    stats,
    stop: async () => {
      await node.close()
      return 0
    },
  }
}

async function aggregator({ config, name, warn }: NodeOptions): Promise<RunningNode> {
  const session = await openSession(config, { roles: ['aggregator'], name, onWarning: warn })
  const node = new AggregatorNode({
    session,
    config,
    clock: systemClock,
    outboxName: name,
    inputSchemas: { [FLEET_STREAM]: FLEET_SCHEMA },
    onWarning: warn,
  })
  await node.start()
  const { reads, writes } = node.streams
  const stats = (): ChildMessage => {
    const { results, pending } = node
    return { type: 'aggregator', results, pending, rssBytes: process.memoryUsage.rss() }
  }
  return {
    ready: { type: 'ready' },
    about: reads.length === 0 ? 'nothing to do' : `${reads.join(', ')} → ${writes.join(', ')}`,
    trouble: () => whyUnstored(node, config),
    stats: () => Promise.resolve(stats()),
    stop: async (drainMs) => {
      const undelivered = await node.close(drainMs)
      tellParent(stats())
      await session.close()
      return outboxKeeps(config) ? 0 : undelivered
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
    trouble: () => whyUnstored(run, config),
    stats: () => Promise.resolve(stats()),
    stop: async (drainMs) => {
      const undelivered = await run.close(drainMs)
      tellParent(stats())
      return outboxKeeps(config) ? 0 : undelivered
    },
  }
}
