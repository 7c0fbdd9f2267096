// What the tests of hyperswarm share: a mesh of its own for each test, on this machine.
import type { EchoPeerConfig } from '../conformance/echo-peer.ts'
import type { SpawnedPeer } from '../conformance/spawn-peer.ts'
import { spawnEchoPeer } from '../conformance/spawn-peer.ts'
import { MESH } from '../conformance/transport-rig.ts'
import { systemClock, systemRandom } from '../system.ts'
import type { BootstrapNode } from './hyperswarm-bootstrap.ts'
import { startBootstrap } from './hyperswarm-bootstrap.ts'
import type { HyperswarmOptions } from './hyperswarm.ts'
import { HyperswarmTransport } from './hyperswarm.ts'

export const HOST = '127.0.0.1'

export const randomHex = (bytes: number): string =>
  Buffer.from(systemRandom.bytes(bytes)).toString('hex')

/** One that can end as a crash would: without a word to peers or DHT. */
export class Crashable extends HyperswarmTransport {
  async crash(): Promise<void> {
    await this.abandon()
  }

  /** Breaks what is below the streams, as a network would; the transports have no part in it. */
  cut(): void {
    for (const stream of this.streams) stream.rawStream?.destroy()
  }
}

export class LocalMesh {
  readonly name = `test ${randomHex(8)}`
  readonly bootstrap: BootstrapNode
  private readonly closers: (() => Promise<unknown>)[] = []

  static async start(): Promise<LocalMesh> {
    return new LocalMesh(await startBootstrap({ host: HOST, port: 0 }))
  }

  private constructor(bootstrap: BootstrapNode) {
    this.bootstrap = bootstrap
  }

  /** Not open yet; closed with the mesh. */
  make(options: Partial<HyperswarmOptions> = {}): Crashable {
    const transport = new Crashable({
      ...this.config(),
      clock: systemClock,
      random: systemRandom,
      ...options,
    })
    this.closers.push(() => transport.close())
    return transport
  }

  async open(options: Partial<HyperswarmOptions> = {}): Promise<Crashable> {
    const transport = this.make(options)
    await transport.open()
    return transport
  }

  async spawn(options: Partial<EchoPeerConfig> = {}): Promise<SpawnedPeer> {
    const peer = await spawnEchoPeer({ ...this.config(), ...options, name: 'hyperswarm' })
    this.closers.push(() => peer.kill())
    return peer
  }

  onClose(closer: () => Promise<unknown>): void {
    this.closers.push(closer)
  }

  async close(): Promise<void> {
    await Promise.all(this.closers.map((closer) => closer()))
    await this.bootstrap.close()
  }

  private config() {
    return {
      meshId: MESH,
      meshName: this.name,
      bootstrap: [this.bootstrap.address],
      host: HOST,
      listens: true,
    }
  }
}
