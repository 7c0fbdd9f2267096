// Makes a transport from its config. Each one's file, and the package it needs, is loaded only when
// it is asked for.
import { MeshError } from '../errors.ts'
import type { PeerTransport } from '../transport.ts'
import type { MemoryNetwork, MemoryTransportOptions } from './memory-network.ts'
import type { ZeromqOptions } from './zeromq.ts'

export interface ZeromqConfig extends ZeromqOptions {
  readonly name: 'zeromq'
}

export interface MemoryConfig extends MemoryTransportOptions {
  readonly name: 'memory'
  /** The network that the transports of one test or simulation share. */
  readonly network: MemoryNetwork
}

export type TransportConfig = ZeromqConfig | MemoryConfig

/** What createTransport can make: a part of TRANSPORTS. */
export const AVAILABLE_TRANSPORTS = ['memory', 'zeromq'] as const

/** Not open yet. @throws MeshError MESH_TRANSPORT_UNKNOWN. */
export async function createTransport(config: TransportConfig): Promise<PeerTransport> {
  switch (config.name) {
    case 'memory':
      return config.network.transport(config)
    case 'zeromq': {
      const { ZeromqTransport } = await import('./zeromq.ts')
      return new ZeromqTransport(config)
    }
    default:
      throw unknownTransport(config)
  }
}

function unknownTransport(config: never): MeshError {
  const { name } = config as { name: unknown }
  return new MeshError(
    'MESH_TRANSPORT_UNKNOWN',
    `unknown transport ${JSON.stringify(name)}: there are ${AVAILABLE_TRANSPORTS.join(', ')}`,
    { details: { name, available: AVAILABLE_TRANSPORTS } },
  )
}
