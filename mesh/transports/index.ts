// Makes a transport from its config. Each one's file, and the package it needs, is loaded only when
// it is asked for.
import { MeshError } from '../errors.ts'
import { nearestName } from '../nearest.ts'
import { TRANSPORTS, type PeerTransport, type Transport } from '../transport.ts'
import type { HyperswarmOptions } from './hyperswarm.ts'
import type { KafkaOptions } from './kafka.ts'
import type { MemoryNetwork, MemoryTransportOptions } from './memory-network.ts'
import type { NatsOptions } from './nats.ts'
import type { ZenohOptions } from './zenoh.ts'
import type { ZeromqOptions } from './zeromq.ts'

export interface MemoryConfig extends MemoryTransportOptions {
  readonly name: 'memory'
  /** The network that the transports of one test or simulation share. */
  readonly network: MemoryNetwork
}

export type ZeromqConfig = ZeromqOptions & { readonly name: 'zeromq' }
export type HyperswarmConfig = HyperswarmOptions & { readonly name: 'hyperswarm' }
export type ZenohConfig = ZenohOptions & { readonly name: 'zenoh' }
export type NatsConfig = NatsOptions & { readonly name: 'nats' }
export type KafkaConfig = KafkaOptions & { readonly name: 'kafka' }

/** Those without a broker. */
export type PeerConfig = ZeromqConfig | MemoryConfig | HyperswarmConfig | ZenohConfig
export type TransportConfig = PeerConfig | NatsConfig | KafkaConfig

/** Not open yet. @throws MeshError MESH_TRANSPORT_UNKNOWN. */
export async function createTransport(config: PeerConfig): Promise<PeerTransport>
export async function createTransport(config: TransportConfig): Promise<Transport>
export async function createTransport(config: TransportConfig): Promise<Transport> {
  switch (config.name) {
    case 'memory':
      return config.network.transport(config)
    case 'zeromq': {
      const { ZeromqTransport } = await import('./zeromq.ts')
      return new ZeromqTransport(config)
    }
    case 'hyperswarm': {
      const { HyperswarmTransport } = await import('./hyperswarm.ts')
      return new HyperswarmTransport(config)
    }
    case 'zenoh': {
      const { ZenohTransport } = await import('./zenoh.ts')
      return new ZenohTransport(config)
    }
    case 'nats': {
      const { NatsTransport } = await import('./nats.ts')
      return new NatsTransport(config)
    }
    case 'kafka': {
      const { KafkaTransport } = await import('./kafka.ts')
      return new KafkaTransport(config)
    }
    default:
      throw unknownTransport(config)
  }
}

function unknownTransport(config: never): MeshError {
  const { name } = config as { name: unknown }
  const near = typeof name === 'string' ? nearestName(name, TRANSPORTS) : undefined
  const meant = near === undefined ? '' : `; did you mean ${near}?`
  return new MeshError(
    'MESH_TRANSPORT_UNKNOWN',
    `unknown transport ${JSON.stringify(name)}: there are ${TRANSPORTS.join(', ')}${meant}`,
    { details: { name, available: TRANSPORTS } },
  )
}
