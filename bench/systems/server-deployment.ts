// A deployment of servers of systems/: one, but for a cluster of Kafka.
import type { RunningSystem } from '../../systems/index.ts'
import type { Channel, Deployment, ServerProcess, Setting } from './system.ts'

export interface ServerDeploymentOptions {
  readonly servers: readonly RunningSystem[]
  readonly versions: Readonly<Record<string, string>>
  readonly configuration: Readonly<Record<string, unknown>>
  readonly openChannel: (setting: Setting, name: string) => Promise<Channel>
}

export class ServerDeployment implements Deployment {
  readonly versions: Readonly<Record<string, string>>
  readonly configuration: Readonly<Record<string, unknown>>
  readonly channel: (setting: Setting, name: string) => Promise<Channel>
  private readonly running: readonly RunningSystem[]
  private isUp = true

  constructor({ servers, versions, configuration, openChannel }: ServerDeploymentOptions) {
    this.running = servers
    this.versions = versions
    this.configuration = configuration
    this.channel = openChannel
  }

  servers(): readonly ServerProcess[] {
    if (!this.isUp) return []
    const { running } = this
    if (running.length === 1) return running.map(({ name, pid }) => ({ name, pid }))
    return running.map(({ name, pid }, i) => ({ name: `${name}-${i + 1}`, pid }))
  }

  async kill(): Promise<void> {
    this.isUp = false
    await Promise.all(this.running.map((server) => server.kill()))
  }

  async restart(): Promise<void> {
    await Promise.all(this.running.map((server) => server.restart()))
    this.isUp = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isUp = false
    // The first has what the others need to end in order: Kafka's controller.
    for (const server of this.running.toReversed()) await server.stop()
  }
}
