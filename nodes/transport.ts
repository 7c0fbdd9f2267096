// From the configuration to a transport: the one place where nodes choose.
import {
  createTransport,
  processNetwork,
  systemClock,
  systemRandom,
  type Clock,
  type MeshId,
  type Timer,
  type Transport,
  type TransportName,
} from '../mesh/index.ts'
import type { Config, TransportChoice } from './config/config.ts'
import { NodeError } from './errors.ts'
import { identityOf } from './identity.ts'

export interface OpenableOptions {
  /** Others come to this process, as opposed to one that only dials. */
  readonly listens: boolean
  readonly clock: Clock
  readonly onWarning: (message: string) => void
}

/** Shorter trouble is not told of. */
const TROUBLE_LASTS_MS = 1_000

/** Addresses to listen on that nobody can dial. */
const WILDCARD = /^tcp:\/\/(\*|0\.0\.0\.0|\[::\])/

/** Where no seed is named, no seed says who begins a mesh. */
export const needsFounder = (transport: TransportName): boolean => !hasSeeds(transport)

/** Whether peers are found through addresses that are given. */
export const hasSeeds = (transport: TransportName): boolean =>
  transport === 'zeromq' || transport === 'memory'

/** Where others reach this process, when it is told; otherwise where it listens. @throws NodeError. */
export function advertised(transport: TransportChoice): string | undefined {
  if (transport.name !== 'zeromq') return undefined
  const { advertise, bind } = transport
  if (advertise !== 'auto') return advertise
  if (!WILDCARD.test(bind)) return undefined
  throw new NodeError(
    'NODE_START_FAILED',
    `zeromq.bind ${bind} is every address of this host, and no address to others: ` +
      'set zeromq.advertise to the one they can reach, e.g. tcp://10.0.0.5:7701',
    { details: { bind } },
  )
}

/** The transport of the configuration, not yet open. @throws NodeError NODE_START_FAILED. */
export async function openableTransport(
  config: Config,
  { listens, clock, onWarning }: OpenableOptions,
): Promise<Transport> {
  const { transport } = config
  const { id: meshId, name: meshName } = identityOf(config)
  const given = {
    meshId,
    meshName,
    clock,
    random: systemRandom,
    listens,
    onOtherMesh: (other: MeshId) => onWarning(otherMeshMessage(other, config)),
    onTrouble: lasting(onWarning, `${transport.name} works again`),
  }
  switch (transport.name) {
    case 'memory':
      return createTransport({
        ...given,
        name: 'memory',
        network: processNetwork(),
        ...endpointOf(listens, transport.bind),
      })
    case 'zeromq':
      return createTransport({
        ...given,
        name: 'zeromq',
        ...(listens && { bind: transport.bind }),
      })
    case 'hyperswarm': {
      const { bootstrap, host } = transport
      const { key } = config.mesh
      if (bootstrap.length === 0 && key === undefined) throw openToAll(config)
      return createTransport({
        ...given,
        name: 'hyperswarm',
        bootstrap,
        host,
        ...(key !== undefined && { meshKey: key }),
        onRefused: (remote) => onWarning(refusedMessage(remote, config)),
      })
    }
    case 'zenoh':
      return createTransport({ ...given, name: 'zenoh', bridge: transport.bridge })
    case 'nats': {
      const { maxAge, ...rest } = transport
      return createTransport({ ...given, ...rest, maxAgeMs: maxAge / 1000 })
    }
    case 'kafka': {
      const { maxAge, replicas, user, ...rest } = transport
      return createTransport({
        ...given,
        ...rest,
        ...(user !== undefined && { username: user }),
        replication: replicas,
        retentionMs: maxAge / 1000,
      })
    }
  }
}

/** On the public DHT the name is all that a stranger would have to guess. */
function openToAll({ mesh }: Config): NodeError {
  return new NodeError(
    'NODE_START_FAILED',
    `hyperswarm without hyperswarm.bootstrap uses the public DHT, where anybody could join mesh ${mesh.name} ` +
      'by its name: set mesh.key to a secret that all its processes share, or hyperswarm.bootstrap to DHT ' +
      'nodes of your own (skein bootstrap)',
  )
}

/** Tells of trouble that lasts, and of its end: a server that is starting says much that passes. */
function lasting(
  warn: (message: string) => void,
  over: string,
): (reason: string | undefined) => void {
  let timer: Timer | undefined
  let told: string | undefined
  return (reason) => {
    timer?.cancel()
    if (reason === undefined) {
      if (told !== undefined) warn(over)
      told = undefined
      return
    }
    timer = systemClock.startTimer(TROUBLE_LASTS_MS, () => {
      if (reason !== told) warn(reason)
      told = reason
    })
  }
}

/** Where others reach it; at an address of its own when none is told. */
function endpointOf(listens: boolean, bind: string | undefined): { endpoint?: string | false } {
  if (!listens) return { endpoint: false }
  return bind === undefined ? {} : { endpoint: bind }
}

/** All that is known of it is the hash of its name and key. */
function otherMeshMessage(other: MeshId, config: Config): string {
  const { id, name } = identityOf(config)
  return (
    `a process of another mesh (id ${other}) knocks here and is not talked to: this is mesh ${name} ` +
    `(id ${id}). If it belongs here, give it the same mesh.name and mesh.key; if not, other seeds`
  )
}

function refusedMessage(remote: string, { mesh }: Config): string {
  return (
    `a process (public key ${remote}) knocks here without the key of mesh ${mesh.name} and is not talked ` +
    'to. If it belongs here, give it the same mesh.name and mesh.key'
  )
}
