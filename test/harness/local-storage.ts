// A storage peer inside the test's own process, for the memory transport. It cannot be killed as a
// process can: it falls silent in the middle of whatever it was saying, then its disk is closed.
import { processNetwork, type PeerId } from '../../mesh/index.ts'
import { StorageNode, type Config } from '../../nodes/index.ts'
import type { ReadyMessage, Runner } from './program.ts'

export class LocalStorage implements Runner {
  readonly ready: Promise<ReadyMessage>
  readonly rssMaxBytes = undefined
  isRunning = true
  private readonly node: StorageNode
  private readonly lines: string[] = []

  constructor(config: Config, name: string) {
    this.node = new StorageNode({ config, name, onWarning: (line) => this.lines.push(line) })
    this.ready = this.start()
  }

  get said(): string {
    return this.lines.join('\n')
  }

  get peerId(): PeerId {
    return this.node['place'].session.transport.peerId
  }

  send(): void {
    throw new Error('a storage peer takes no messages')
  }

  async kill(): Promise<void> {
    const network = processNetwork()
    for (const peer of network.peers()) network.partition(peer, this.peerId)
    await this.end()
  }

  pause(): Promise<void> {
    return Promise.reject(new Error('a part of this process cannot be stopped alone'))
  }

  resume(): void {}

  async stop(): Promise<number> {
    await this.end()
    return 0
  }

  async end(): Promise<void> {
    if (!this.isRunning) return
    this.isRunning = false
    await this.ready.catch(() => undefined)
    await this.node.close()
  }

  private async start(): Promise<ReadyMessage> {
    await this.node.start()
    return { type: 'ready', http: this.node.http }
  }
}
