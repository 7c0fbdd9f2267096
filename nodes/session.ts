// From the configuration to a session in the mesh: the one place where nodes choose a transport.
import { setTimeout as delay } from 'node:timers/promises'
import {
  createTransport,
  isPeerTransport,
  meshIdentity,
  Session,
  systemClock,
  systemRandom,
  type Announcement,
  type MeshId,
  type MeshIdentity,
  type PeerRole,
  type SessionOptions,
} from '../mesh/index.ts'
import type { Config } from './config/config.ts'
import { NodeError } from './errors.ts'

export interface NodeSessionOptions extends Pick<
  SessionOptions,
  'name' | 'http' | 'store' | 'onAnnouncement' | 'onChange'
> {
  /** What this process is to others. With none it only dials and is not announced. */
  readonly roles?: readonly PeerRole[]
  /** Something that people should know and that ends nothing. */
  readonly onWarning?: (message: string) => void
}

/** Addresses to listen on that nobody can dial. */
const WILDCARD = /^tcp:\/\/(\*|0\.0\.0\.0|\[::\])/

/** @throws MeshError MESH_ADDRESS_IN_USE, MESH_ADDRESS_INVALID; NodeError NODE_START_FAILED. */
export async function openSession(config: Config, options: NodeSessionOptions): Promise<Session> {
  const { name, replicas, writeQuorum } = config.mesh
  const { roles = [], onWarning, ...hooks } = options
  const mesh = meshIdentity(name, replicas, writeQuorum)
  const { transport } = config
  if (transport.name !== 'zeromq') {
    throw new NodeError(
      'NODE_START_FAILED',
      `transport ${transport.name} cannot run between processes in this version; use zeromq`,
      { details: { transport: transport.name } },
    )
  }
  const endpoint = transport.advertise === 'auto' ? undefined : transport.advertise
  if (roles.length > 0 && endpoint === undefined && WILDCARD.test(transport.bind)) {
    throw new NodeError(
      'NODE_START_FAILED',
      `zeromq.bind ${transport.bind} is every address of this host, and no address to others: ` +
        'set zeromq.advertise to the one they can reach, e.g. tcp://10.0.0.5:7701',
      { details: { bind: transport.bind } },
    )
  }
  const session = new Session({
    mesh,
    transport: await createTransport({
      name: 'zeromq',
      meshId: mesh.id,
      clock: systemClock,
      random: systemRandom,
      onOtherMesh: (id) => onWarning?.(otherMeshMessage(id, mesh)),
      ...(roles.length > 0 && { bind: transport.bind }),
    }),
    clock: systemClock,
    random: systemRandom,
    seeds: config.seeds,
    roles,
    ...hooks,
    ...(endpoint !== undefined && { endpoint }),
    onBadEndpoint: (bad, reason) => onWarning?.(`a peer announces ${bad}: ${reason}`),
    onMismatch: (announcement) => onWarning?.(mismatchMessage(announcement, config)),
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

/** All that is known of it is the hash of its name. */
function otherMeshMessage(other: MeshId, { id, name }: MeshIdentity): string {
  return (
    `a process of another mesh (id ${other}) knocks here and is not talked to: this is mesh ${name} ` +
    `(id ${id}). If it belongs here, give it mesh.name=${name}; if not, other seeds`
  )
}

function mismatchMessage(other: Announcement, { mesh }: Config): string {
  return (
    `peer ${other.self.id} at ${other.self.endpoint ?? 'an unknown address'} is of another mesh: ` +
    `${other.meshName} with replicas ${other.replicas}, writeQuorum ${other.writeQuorum}; this one is ` +
    `${mesh.name} with ${mesh.replicas}, ${mesh.writeQuorum}. It is not talked to: give both the same ` +
    `mesh: settings, or this process other seeds`
  )
}
