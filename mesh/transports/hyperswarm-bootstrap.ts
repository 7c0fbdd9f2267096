// A DHT node of one's own, so that a mesh on one machine, or on one site, needs no internet. It keeps
// who announced what in memory: when it is restarted, peers announce themselves again within seconds,
// and links that are up do not need it.
//
// One node is enough: it stores announcements itself. A second one elsewhere makes the start of peers
// independent of the first; peers name both, and the two need not know each other.
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { MeshError } from '../errors.ts'

export interface BootstrapOptions {
  /** The IPv4 address of this machine that peers will name, or a name for it. */
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
}

export interface BootstrapNode {
  /** What peers write into `bootstrap`. */
  readonly address: string
  close(): Promise<void>
}

/** @throws MeshError MESH_ADDRESS_IN_USE, MESH_ADDRESS_INVALID. */
export async function startBootstrap(options: BootstrapOptions): Promise<BootstrapNode> {
  const host = await addressOf(options.host)
  const port = await checkPort(host, options.port)
  const { default: DHT } = await import('hyperdht')
  const dht = DHT.bootstrapper(port, host, { host })
  await dht.fullyBootstrapped()
  return {
    address: `${host}:${port}`,
    async close() {
      // It may throw when a request is under way.
      await dht.destroy({ force: true }).catch(() => {})
    },
  }
}

async function addressOf(host: string): Promise<string> {
  let address: string
  try {
    address = (await lookup(host, { family: 4 })).address
  } catch (error) {
    throw invalid(host, error)
  }
  // The node hands its address on, so it must be one that others can use.
  if (address === '0.0.0.0') throw invalid(host, undefined)
  return address
}

/** Asked first: HyperDHT would take another port, or fail and leave a handle open. */
async function checkPort(host: string, port: number): Promise<number> {
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw invalid(`${host}:${port}`, undefined)
  const socket = createSocket('udp4')
  try {
    socket.bind(port, host)
    await once(socket, 'listening')
    return socket.address().port
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE')
      throw invalid(`${host}:${port}`, error)
    throw new MeshError(
      'MESH_ADDRESS_IN_USE',
      `cannot bind UDP port ${port} on ${host}: another process has it; stop that, or choose another port (0 takes a free one)`,
      { retryable: true, cause: error, details: { host, port } },
    )
  } finally {
    socket.close()
  }
}

function invalid(host: string, cause: unknown): MeshError {
  return new MeshError(
    'MESH_ADDRESS_INVALID',
    `cannot run a bootstrap node at ${JSON.stringify(host)}: give an IPv4 address of this machine that its peers can reach, e.g. 127.0.0.1 for a mesh on one machine`,
    { cause, details: { host } },
  )
}
