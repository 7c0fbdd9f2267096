// `skein node storage|aggregator|fleet`: one node, in the foreground; what containers run, and what
// `skein up` starts several of. It drains and exits 0 on SIGTERM, SIGINT, or when its parent says so.
import type { Command } from 'commander'
import { systemClock } from '../../mesh/index.ts'
import {
  AggregatorNode,
  openSession,
  StorageNode,
  STOP_MS,
  stopRequested,
  type Config,
} from '../../nodes/index.ts'
import { FleetRun } from '../../sim/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { note, reportError, warn } from '../output.ts'
import { tellParent, type ChildMessage } from '../up/child-messages.ts'
import { quantiles } from '../up/histogram.ts'

const STATS_MS = 500

export function addNode(program: Command): void {
  const node = program.command('node').description('run one node in the foreground')
  node
    .command('storage')
    .description('a storage peer: keeps frames, answers queries')
    .option('--name <name>', 'names its directory under --data', 'storage')
    .action((flags: { name: string }, command: Command) =>
      runNode(command, (config) => storage(config, flags.name)),
    )
  node
    .command('aggregator')
    .description('windows and thresholds over live streams, published back')
    .option('--name <name>', 'names its outbox under --data', 'aggregator')
    .action((flags: { name: string }, command: Command) =>
      runNode(command, (config) => aggregator(config, flags.name)),
    )
  node
    .command('fleet')
    .description('simulated vehicles')
    .option('--name <name>', 'names its outbox under --data', 'fleet')
    .action((flags: { name: string }, command: Command) =>
      runNode(command, (config) => fleet(config, flags.name)),
    )
}

interface RunningNode {
  readonly ready: ChildMessage
  stats(): ChildMessage
  /** Drains; returns how many samples could not be delivered and are kept nowhere. */
  stop(drainMs: number): Promise<number>
}

async function runNode(
  command: Command,
  start: (config: Config) => Promise<RunningNode>,
): Promise<void> {
  const isChild = process.send !== undefined
  const stopping = stopRequested()
  if (isChild) process.on('message', () => process.emit('SIGTERM'))
  try {
    const loaded = contextOf(command)
    const { config } = isChild ? loaded : findMesh(command, loaded)
    const node = await start(config)
    tellParent(node.ready)
    if (!isChild) note(`ready ${JSON.stringify(node.ready)}`)
    const timer = setInterval(() => tellParent(node.stats()), STATS_MS)
    await stopping
    clearInterval(timer)
    const undelivered = await node.stop(STOP_MS - 1_000)
    tellParent(node.stats())
    if (undelivered > 0) {
      warning(
        `${undelivered} samples were not acknowledged and no disk outbox keeps them: they are lost`,
      )
      process.exitCode = EXIT.undelivered
    }
  } catch (error) {
    const { code = 'INTERNAL', message } = error as Error & { code?: string }
    tellParent({ type: 'failed', code, message })
    process.exitCode = isChild ? EXIT.failed : reportError(error, wantsJson(command))
  }
  if (process.connected) process.disconnect()
  // Sockets of a library that is slow to let go must not keep a stopped node.
  setTimeout(() => process.exit(), 1_000).unref()
}

function warning(message: string): void {
  tellParent({ type: 'warning', message })
  if (process.send === undefined) warn(message)
}

async function storage(config: Config, name: string): Promise<RunningNode> {
  const node = new StorageNode({ config, name, onWarning: warning })
  await node.start()
  return {
    ready: { type: 'ready', endpoint: node.endpoint, http: node.http },
    stats: () => ({ type: 'store', stats: node.stats() }),
    stop: async () => {
      await node.close()
      return 0
    },
  }
}

async function aggregator(config: Config, outboxName: string): Promise<RunningNode> {
  const session = await openSession(config, { roles: ['aggregator'], onWarning: warning })
  const node = new AggregatorNode({ session, config, clock: systemClock, outboxName })
  await node.start()
  return {
    ready: { type: 'ready' },
    stats: () => ({
      ...{ type: 'aggregator', results: node.results },
      samples: node.subscribed?.counters.samples ?? 0,
    }),
    stop: async (drainMs) => {
      const undelivered = await node.close(drainMs)
      await session.close()
      return lost(config, undelivered)
    },
  }
}

async function fleet(config: Config, outboxName: string): Promise<RunningNode> {
  const run = new FleetRun({ config, outboxName, onWarning: warning })
  await run.start()
  return {
    ready: { type: 'ready' },
    stats: () => ({
      ...{ type: 'fleet', counts: run.counts(), storedUs: quantiles(run.storedLatencyUs) },
      trouble: run.trouble(),
    }),
    stop: async (drainMs) => lost(config, await run.close(drainMs)),
  }
}

/** What a disk outbox keeps is late, not lost. */
function lost(config: Config, undelivered: number): number {
  return config.publisher.outbox.diskBytes === undefined ? undelivered : 0
}
