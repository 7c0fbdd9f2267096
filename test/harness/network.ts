// The transport that a mesh of a test runs on: what its processes are told, and the real server it needs.
import type { TransportName } from '../../mesh/index.ts'
import { startBootstrap } from '../../mesh/index.ts'
import { startSystem, type RunningSystem } from '../../systems/index.ts'

export interface TestNetwork {
  readonly transport: TransportName
  /** As `--set`. */
  readonly settings: readonly string[]
  /** Where processes listen. */
  readonly host: string
  /** The broker or bridge that everything passes through. */
  readonly server?: RunningSystem
  close(): Promise<void>
}

export const LOOPBACK = '127.0.0.1'

/** Needs nothing. */
export const ZEROMQ: TestNetwork = {
  transport: 'zeromq',
  settings: [],
  host: LOOPBACK,
  close: () => Promise.resolve(),
}

/** Transports that a server stands behind, by the key that says where it is. */
const SERVER_KEYS = { nats: 'nats.servers', kafka: 'kafka.brokers', zenoh: 'zenoh.bridge' } as const

export const needsServer = (transport: TransportName): transport is keyof typeof SERVER_KEYS =>
  Object.hasOwn(SERVER_KEYS, transport)

/** With a server or DHT node of its own, at `host`. */
export async function openNetwork(
  transport: TransportName,
  host: string = LOOPBACK,
): Promise<TestNetwork> {
  if (needsServer(transport)) {
    const server = await startSystem(transport, { host })
    const settings = [`${SERVER_KEYS[transport]}=${server.address}`]
    return { transport, settings, host, server, close: () => server.stop() }
  }
  if (transport === 'hyperswarm') {
    const node = await startBootstrap({ host, port: 0 })
    const settings = [`hyperswarm.bootstrap=${node.address}`]
    return { transport, settings, host, close: () => node.close() }
  }
  return { ...ZEROMQ, transport, host }
}

/** What a process at `host` is told beyond what all are told; it listens at any address without an endpoint. */
export function hostSettings(
  { transport }: TestNetwork,
  host: string,
  endpoint?: string,
): string[] {
  const settings = [`storage.http.host=${host}`]
  if (transport === 'zeromq') settings.push(`zeromq.bind=${endpoint ?? `tcp://${host}:0`}`)
  if (transport === 'memory' && endpoint !== undefined) settings.push(`memory.bind=${endpoint}`)
  if (transport === 'hyperswarm') settings.push(`hyperswarm.host=${host}`)
  return settings
}
