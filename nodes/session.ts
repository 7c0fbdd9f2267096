// From the configuration to a session in the mesh: the one place where nodes choose a transport.
import { setTimeout as delay } from 'node:timers/promises'
import {
  isPeerTransport,
  Session,
  systemClock,
  systemRandom,
  type Announcement,
  type Clock,
  type PeerRole,
  type SessionOptions,
} from '../mesh/index.ts'
import type { Config } from './config/config.ts'
import { identityOf } from './identity.ts'
import { advertised, hasSeeds, openableTransport } from './transport.ts'

export interface NodeSessionOptions extends Pick<
  SessionOptions,
  'name' | 'incarnation' | 'http' | 'store' | 'onAnnouncement' | 'onChange'
> {
  /** Default: the system's. */
  readonly clock?: Clock
  /** What this process is to others. With none it only dials and is not announced. */
  readonly roles?: readonly PeerRole[]
  /** Something that people should know and that ends nothing. */
  readonly onWarning?: (message: string) => void
}

/** @throws MeshError MESH_ADDRESS_IN_USE, MESH_ADDRESS_INVALID; NodeError NODE_START_FAILED. */
export async function openSession(config: Config, options: NodeSessionOptions): Promise<Session> {
  const { roles = [], clock = systemClock, onWarning = () => undefined, ...hooks } = options
  const { transport } = config
  const listens = roles.length > 0
  const endpoint = listens ? advertised(transport) : undefined
  const session = new Session({
    mesh: identityOf(config),
    transport: await openableTransport(config, { listens, clock, onWarning }),
    clock,
    random: systemRandom,
    seeds: hasSeeds(transport.name) ? config.seeds : [],
    roles,
    ...hooks,
    ...(endpoint !== undefined && { endpoint }),
    onBadEndpoint: (bad, reason) => onWarning(`a peer announces ${bad}: ${reason}`),
    onMismatch: (announcement) => onWarning(mismatchMessage(announcement, config)),
  })
  try {
    await session.open()
  } catch (error) {
    await session.close()
    throw error
  }
  return session
}

/** A mesh that runs is found, and its readers are dialled, in a fraction of this. */
const READERS_MS = 2_000
const LOOK_MS = 5

/**
 * Resolves when live readers that the mesh knows of can be sent to: a publisher that is done within a
 * second would otherwise be gone before they heard of it. Stores need no such wait: they get it all.
 */
export async function readersLinked({ membership, transport }: Session): Promise<void> {
  if (!isPeerTransport(transport)) return
  const untilMs = systemClock.monotonicMs() + READERS_MS
  while (systemClock.monotonicMs() < untilMs) {
    const linked = transport.linked()
    const readers = membership.peers().filter(({ roles, suspect }) => {
      return !suspect && roles.some((role) => role !== 'storage')
    })
    if (membership.stores().length > 0 && readers.every(({ id }) => linked.has(id))) return
    await delay(LOOK_MS)
  }
}

/**
 * For a process beside the nodes, such as a command that listens for a while: zeromq.bind is the
 * address of a node, so it takes any free port of the same host.
 */
export function onAnyPort(config: Config): Config {
  const { transport } = config
  if (transport.name !== 'zeromq') return config
  const bind = transport.bind.startsWith('tcp://')
    ? transport.bind.replace(/:[^:\]]*$/, ':0')
    : 'tcp://127.0.0.1:0'
  return { ...config, transport: { ...transport, bind } }
}

function mismatchMessage(other: Announcement, { mesh }: Config): string {
  const isAlike = other.meshName === mesh.name && other.replicas === mesh.replicas
  const secretHint =
    isAlike && other.writeQuorum === mesh.writeQuorum ? ' and another mesh.key' : ''
  const { id, name, endpoint } = other.self
  const peer = name === undefined ? `peer ${id}` : `peer ${name} (${id})`
  return (
    `${peer}${endpoint === undefined ? '' : ` at ${endpoint}`} is of another mesh: ` +
    `${other.meshName} with replicas ${other.replicas}, writeQuorum ${other.writeQuorum}; this one is ` +
    `${mesh.name} with ${mesh.replicas}, ${mesh.writeQuorum}${secretHint}. It is not talked to: give both ` +
    `the same mesh: settings, or this process another mesh.name`
  )
}
