// What a mesh on one machine needs beside its nodes, by transport: nothing, a DHT node, a server. A server
// that answers at the configured address is used; otherwise, if that is on this machine, one is started.
import { rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { once } from 'node:events'
import { startBootstrap } from '../../mesh/index.ts'
import { NodeError, type Config } from '../../nodes/index.ts'
import { installCommand, isInstalled, startSystem, type SystemName } from '../../systems/index.ts'

export interface Surroundings extends AsyncDisposable {
  /** The configuration as the nodes are to have it. */
  readonly config: Config
  /** Flags that say the same to a node. */
  readonly flags: readonly string[]
}

interface Need {
  readonly system: SystemName
  /** The key that says where it is, and what it says. */
  readonly key: string
  readonly addresses: readonly string[]
}

/** How long a server may take to answer a connection. */
const ANSWER_MS = 1_000

/** @throws NodeError NODE_START_FAILED when it is not installed. */
export async function surround(
  config: Config,
  fresh: boolean,
  onLine: (line: string) => void,
): Promise<Surroundings> {
  if (config.transport.name === 'hyperswarm') return await withBootstrap(config)
  const need = needOf(config)
  if (need === undefined || (await anyAnswers(need.addresses))) return asConfigured(config)
  // Elsewhere nothing can be started; the nodes say why they wait.
  if (!need.addresses.every(isHere)) return asConfigured(config)
  return await withSystem(config, need, fresh, onLine)
}

function needOf({ transport }: Config): Need | undefined {
  switch (transport.name) {
    case 'nats':
      return { system: 'nats', key: 'nats.servers', addresses: transport.servers }
    case 'kafka':
      return { system: 'kafka', key: 'kafka.brokers', addresses: transport.brokers }
    case 'zenoh':
      return { system: 'zenoh', key: 'zenoh.bridge', addresses: [transport.bridge] }
    case 'memory':
    case 'zeromq':
    case 'hyperswarm':
      return undefined
  }
}

function asConfigured(config: Config): Surroundings {
  return { config, flags: [], [Symbol.asyncDispose]: () => Promise.resolve() }
}

async function withBootstrap(config: Config): Promise<Surroundings> {
  if (config.transport.name !== 'hyperswarm' || config.transport.bootstrap.length > 0) {
    return asConfigured(config)
  }
  const host = '127.0.0.1'
  const node = await startBootstrap({ host, port: 0 })
  const transport = { ...config.transport, bootstrap: [node.address], host }
  return {
    config: { ...config, transport },
    flags: setFlags({ 'hyperswarm.bootstrap': node.address, 'hyperswarm.host': host }),
    [Symbol.asyncDispose]: () => node.close(),
  }
}

async function withSystem(
  config: Config,
  { system, key, addresses }: Need,
  fresh: boolean,
  onLine: (line: string) => void,
): Promise<Surroundings> {
  if (!isInstalled(system)) {
    throw new NodeError(
      'NODE_START_FAILED',
      `transport ${system} needs a server, and none answers at ${addresses.join(', ')} (${key}): ` +
        `${installCommand(system)}, then start again; or set ${key} to where one runs`,
      { details: { system, addresses } },
    )
  }
  const dataPath = join(config.dataPath, system)
  if (fresh) rmSync(dataPath, { recursive: true, force: true })
  onLine(`starting ${system}, since none answers at ${addresses.join(', ')}`)
  const running = await startSystem(system, { dataPath })
  const { address } = running
  return {
    config: { ...config, transport: atAddress(config, address) },
    flags: setFlags({ [key]: address }),
    [Symbol.asyncDispose]: () => running.stop(),
  }
}

function atAddress({ transport }: Config, address: string): Config['transport'] {
  switch (transport.name) {
    case 'nats':
      return { ...transport, servers: [address] }
    case 'kafka':
      return { ...transport, brokers: [address] }
    case 'zenoh':
      return { ...transport, bridge: address }
    case 'memory':
    case 'zeromq':
    case 'hyperswarm':
      return transport
  }
}

const setFlags = (settings: Readonly<Record<string, string>>): string[] =>
  Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`])

/** `nats://host:port`, `ws://host:port` or `host:port`. */
function hostAndPort(address: string): { host: string; port: number } {
  const [, host = '', port = ''] =
    /^(?:\w+:\/\/)?(?:[^@/]*@)?([^:/]+|\[[^\]]+\]):(\d+)/.exec(address) ?? []
  return { host: host.replace(/[[\]]/g, ''), port: Number(port) }
}

const isHere = (address: string): boolean =>
  ['127.0.0.1', 'localhost', '::1'].includes(hostAndPort(address).host)

async function anyAnswers(addresses: readonly string[]): Promise<boolean> {
  const answers = await Promise.all(addresses.map((address) => doesAnswer(address)))
  return answers.includes(true)
}

async function doesAnswer(address: string): Promise<boolean> {
  const socket = connect({ ...hostAndPort(address), timeout: ANSWER_MS })
  try {
    socket.once('timeout', () => socket.destroy(new Error('no answer')))
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
