// Skein as the bench runs it: storage peers over ZeroMQ, each a process with a disk of its own.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Child } from '../../cli/up/child.ts'
import { freePort } from '../../systems/index.ts'
import { skeinSettings } from './skein-settings.ts'
import type { BenchSystem, Channel, Deployment, ServerProcess, Setting } from './system.ts'

const STOP_MS = 5_000

export const skein: BenchSystem = {
  name: 'skein',
  persists: true,
  tiers: ['received', 'written', 'synced'],
  syncsAnyway: true,
  missing: () => undefined,
  deploymentKey: (setting) => `skein-${setting.copies}-of-${storesOf(setting)}`,
  start: (setting, directory) => SkeinDeployment.start(setting, directory),
}

const storesOf = ({ stores, copies }: Setting): number => stores ?? copies

class SkeinDeployment implements Deployment {
  readonly versions = versions()
  readonly configuration: Readonly<Record<string, unknown>>
  private readonly setting: Setting
  private readonly directory: string
  private readonly ports: readonly number[]
  private stores: Child[] = []

  static async start(setting: Setting, directory: string): Promise<SkeinDeployment> {
    const ports = await Promise.all(
      Array.from({ length: storesOf(setting) }, () => freePort('127.0.0.1')),
    )
    const deployment = new SkeinDeployment(setting, directory, ports)
    await deployment.restart()
    return deployment
  }

  private constructor(setting: Setting, directory: string, ports: readonly number[]) {
    this.setting = setting
    this.directory = directory
    this.ports = ports
    this.configuration = { transport: 'zeromq', stores: ports.length, ...meshOf(setting) }
  }

  servers(): readonly ServerProcess[] {
    return this.stores.map(({ name, pid }) => ({ name, pid: pid! }))
  }

  async channel(setting: Setting, name: string): Promise<Channel> {
    return { setting, name, address: this.seed }
  }

  async kill(): Promise<void> {
    for (const store of this.stores) store.kill()
    await Promise.all(this.stores.map((store) => store.stop(0)))
  }

  async restart(): Promise<void> {
    // The first founds the mesh, the others join it.
    const [first, ...others] = this.ports.map((port, index) => this.store(port, index + 1))
    this.stores = [first!, ...others]
    await first!.start()
    await Promise.all(others.map((store) => store.start()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.stores.map((store) => store.stop(STOP_MS)))
  }

  private get seed(): string {
    return addressOf(this.ports[0]!)
  }

  private store(port: number, index: number): Child {
    const name = `storage-${index}`
    const settings = [...skeinSettings(meshOf(this.setting)), `zeromq.bind=${addressOf(port)}`]
    return new Child({
      name,
      role: 'storage',
      onMessage: () => undefined,
      onLog: (line) => void process.stderr.write(`${line}\n`),
      args: () => [
        '--seed',
        this.seed,
        '--data',
        this.directory,
        ...settings.flatMap((setting) => ['--set', setting]),
        'node',
        'storage',
        '--name',
        name,
      ],
    })
  }
}

const meshOf = ({ copies }: Setting): Record<string, number> => ({
  'mesh.replicas': copies,
  'mesh.writeQuorum': copies,
})

const addressOf = (port: number): string => `tcp://127.0.0.1:${port}`

function versions(): Readonly<Record<string, string>> {
  const root = join(import.meta.dirname, '..', '..')
  const read = (path: string): string =>
    (JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')) as { version: string })
      .version
  return {
    skein: read('.'),
    'zeromq.js': read('node_modules/zeromq'),
    'classic-level': read('node_modules/classic-level'),
  }
}
