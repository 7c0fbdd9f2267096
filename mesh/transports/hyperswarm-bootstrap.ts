// A DHT of one's own, so that a mesh on one machine, or on one site, needs no internet. It keeps who
// announced what in memory: when it is restarted, peers announce themselves again within seconds, and
// links that are up do not need it.
//
// One node would store and find what is announced, but two peers on different machines learn how their
// UDP looks from outside, and so how to reach each other, by asking several: with one or two nodes they
// never connected, with three or more they did at once. HyperDHT asks four.
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { MeshError } from '../errors.ts'

/**
 * How long a process is remembered, give or take a third, that does not announce itself again; ours
 * do every ten seconds. The default of 20 minutes is for a DHT of the world: here it would make every
 * newcomer try all who were killed since.
 */
const RECORD_MS = 60_000

const NODES = 4

export interface BootstrapOptions {
  /** The IPv4 address of this machine that peers will name, or a name for it. */
  readonly host: string
  /** 0 takes a free one. The three after it are used as well, or others where those are taken. */
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
  const address = `${host}:${port}`
  const nodes = [DHT.bootstrapper(port, host, { host, maxAge: RECORD_MS })]
  await nodes[0]!.fullyBootstrapped()
  while (nodes.length < NODES) {
    const node = new DHT({
      host,
      port: port + nodes.length,
      bootstrap: [address],
      ephemeral: false,
      firewalled: false,
      maxAge: RECORD_MS,
    })
    nodes.push(node)
    await node.fullyBootstrapped()
  }
  return {
    address,
    async close() {
      // It may throw when a request is under way.
      await Promise.allSettled(nodes.map((node) => node.destroy({ force: true })))
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
