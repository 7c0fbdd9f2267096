// A deployment that is one server of systems/: what NATS and Zenoh have in common.
import type { RunningSystem } from '../../systems/index.ts'
import type { Channel, Deployment, ServerProcess, Setting } from './system.ts'

export interface ServerDeploymentOptions {
  readonly server: RunningSystem
  readonly versions: Readonly<Record<string, string>>
  readonly configuration: Readonly<Record<string, unknown>>
  readonly openChannel: (setting: Setting, name: string) => Promise<Channel>
}

export class ServerDeployment implements Deployment {
  readonly versions: Readonly<Record<string, string>>
  readonly configuration: Readonly<Record<string, unknown>>
  readonly channel: (setting: Setting, name: string) => Promise<Channel>
  private readonly server: RunningSystem
  private isUp = true

  constructor({ server, versions, configuration, openChannel }: ServerDeploymentOptions) {
    this.server = server
    this.versions = versions
    this.configuration = configuration
    this.channel = openChannel
  }

  servers(): readonly ServerProcess[] {
    return this.isUp ? [{ name: this.server.name, pid: this.server.pid }] : []
  }

  async kill(): Promise<void> {
    this.isUp = false
    await this.server.kill()
  }

  async restart(): Promise<void> {
    await this.server.restart()
    this.isUp = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isUp = false
    await this.server.stop()
  }
}
