// The smallest mesh there is: one storage peer (R = W = 1), in the test's own process.
import { join } from 'node:path'
import { loadConfig, parseOverride, StorageNode, type Config } from '../../nodes/index.ts'
import { testMeshName } from './mesh.ts'
import { freeEndpoint } from './ports.ts'

export interface OneStoreOptions {
  /** Where its data is, and where skein.yaml may be. */
  readonly cwd: string
  readonly meshName?: string
  readonly endpoint?: string
  readonly settings?: readonly string[]
}

export class OneStore implements AsyncDisposable {
  readonly node: StorageNode
  readonly config: Config
  /** What a command line needs to reach it. */
  readonly flags: readonly string[]
  readonly warnings: string[] = []
  private hasStarted = false

  private constructor(config: Config, flags: readonly string[]) {
    this.config = config
    this.flags = flags
    const onWarning = (message: string): unknown => this.warnings.push(message)
    this.node = new StorageNode({ config, name: 'storage', onWarning })
  }

  /** Not started yet. */
  static async create(options: OneStoreOptions): Promise<OneStore> {
    const { cwd, settings = [] } = options
    const endpoint = options.endpoint ?? (await freeEndpoint())
    const meshName = options.meshName ?? testMeshName()
    const mesh = [`mesh.name=${meshName}`, 'mesh.replicas=1', 'mesh.writeQuorum=1']
    const overrides = [...mesh, `zeromq.bind=${endpoint}`, ...settings].map((text) =>
      parseOverride(text),
    )
    overrides.push(
      { key: 'data', value: join(cwd, 'data'), flag: '--data' },
      { key: 'seeds', value: [endpoint], flag: '--seed' },
    )
    const { config } = loadConfig({ cwd, env: {}, overrides })
    return new OneStore(config, [...mesh.flatMap((text) => ['--set', text]), '--seed', endpoint])
  }

  static async start(options: OneStoreOptions): Promise<OneStore> {
    const store = await OneStore.create(options)
    await store.start()
    return store
  }

  async start(): Promise<void> {
    await this.node.start()
    this.hasStarted = true
  }

  /** A number of /metrics. */
  async metric(name: string): Promise<number> {
    const response = await fetch(`${this.node.http}/metrics`)
    const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(await response.text())?.[1]
    if (value === undefined) throw new Error(`there is no metric ${name}`)
    return Number(value)
  }

  async health(): Promise<{ status: number; reasons: readonly string[] }> {
    const response = await fetch(`${this.node.http}/healthz`)
    const { reasons } = (await response.json()) as { reasons: readonly string[] }
    return { status: response.status, reasons }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.hasStarted) await this.node.close()
  }
}
