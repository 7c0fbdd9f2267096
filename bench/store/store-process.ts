// A real storage peer, `skein node storage` in a process of its own, with the disk it is given: started,
// stopped in order, killed, wiped and started again at the same addresses.
import { lstatSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Child } from '../../cli/up/child.ts'
import { freePort } from '../../systems/index.ts'
import { skeinSettings } from '../systems/skein-settings.ts'
import type { Channel, ServerProcess, Setting } from '../systems/system.ts'

const LOOK_MS = 10
const STOP_MS = 30_000
/** What lstat counts blocks in, whatever the disk has. */
const BLOCK_BYTES = 512

export interface StoreOptions {
  readonly name: string
  /** Holds the data of all stores of the mesh. */
  readonly directory: string
  /** R and W. */
  readonly copies: number
  /** Where the first store of the mesh listens; absent: this is the first. */
  readonly seed?: string | undefined
  /** Others, by the keys of skein.yaml. */
  readonly settings?: Settings
}

type Settings = Readonly<Record<string, string | number | boolean>>

export class StoreProcess implements AsyncDisposable {
  readonly name: string
  /** Where others link to it, before it is started too. */
  readonly endpoint: string
  readonly http: string
  private readonly options: StoreOptions
  private readonly httpPort: number
  private child: Child | undefined

  /** Resolves when it takes frames. */
  static async start(options: StoreOptions): Promise<StoreProcess> {
    const [port, httpPort] = [await freePort('127.0.0.1'), await freePort('127.0.0.1')]
    const store = new StoreProcess(options, port, httpPort)
    try {
      await store.start()
      return store
    } catch (error) {
      await store.stop()
      throw error
    }
  }

  private constructor(options: StoreOptions, port: number, httpPort: number) {
    this.options = options
    this.name = options.name
    this.endpoint = `tcp://127.0.0.1:${port}`
    this.http = `http://127.0.0.1:${httpPort}`
    this.httpPort = httpPort
  }

  get process(): ServerProcess {
    return { name: this.name, pid: this.child!.pid! }
  }

  /**
   * Spawned when this returns; resolves when it is a member and takes frames. `changed` are settings that
   * it did not have before.
   */
  async start(changed: Settings = {}): Promise<void> {
    const { name, directory, seed = this.endpoint } = this.options
    const settings = skeinSettings({ ...this.settings(), ...changed })
    this.child = new Child({
      name,
      role: 'storage',
      onMessage: () => undefined,
      onLog: (line) => void process.stderr.write(`${line}\n`),
      args: () => [
        '--seed',
        seed,
        '--data',
        directory,
        ...settings.flatMap((setting) => ['--set', setting]),
        'node',
        'storage',
        '--name',
        name,
      ],
    })
    await this.child.start()
    while (!(await fetch(`${this.http}/readyz`)).ok) await delay(LOOK_MS)
  }

  /** In order: what it has is sealed. */
  async stop(): Promise<void> {
    await this.child?.stop(STOP_MS)
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.child?.kill()
    await this.child?.stop(0)
  }

  /** It is stopped: its disk is empty from now on. */
  wipe(): void {
    rmSync(this.data, { recursive: true })
  }

  /** What its frames and their index take of the disk. */
  diskBytes(): number {
    return this.files().reduce((sum, path) => {
      return sum + (lstatSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * BLOCK_BYTES
    }, 0)
  }

  /** Files with frames as they were received. */
  segments(): number {
    return this.files().filter((path) => path.endsWith('.seg')).length
  }

  /** What a feed needs to reach it, and what the result says of it. */
  channel(): Channel {
    const setting: Setting = {
      system: 'skein',
      tier: 'synced',
      tuning: 'default',
      compress: false,
      copies: this.options.copies,
    }
    return { setting, name: this.name, address: this.endpoint }
  }

  private settings(): Settings {
    const { copies, settings } = this.options
    return {
      'mesh.replicas': copies,
      'mesh.writeQuorum': copies,
      'zeromq.bind': this.endpoint,
      'storage.http.port': this.httpPort,
      ...settings,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** Directories too. */
  private files(): string[] {
    const buckets = join(this.data, 'buckets')
    const names = readdirSync(buckets, { recursive: true, encoding: 'utf8' })
    return names.map((name) => join(buckets, name))
  }

  private get data(): string {
    return join(this.options.directory, this.name)
  }
}

/**
 * Stores of one mesh, the first of which founds it; in the order of `StoreProcess.name`. When one does not
 * start, the others are stopped.
 */
export async function startStores(
  count: number,
  options: Pick<StoreOptions, 'directory' | 'copies' | 'settings'>,
): Promise<StoreProcess[]> {
  await using started = new AsyncDisposableStack()
  const start = async (number: number, seed?: string): Promise<StoreProcess> =>
    started.use(await StoreProcess.start({ ...options, name: `storage-${number}`, seed }))
  const stores = [await start(1)]
  const others = await Promise.allSettled(
    Array.from({ length: count - 1 }, (_, i) => start(i + 2, stores[0]!.endpoint)),
  )
  for (const each of others) {
    if (each.status === 'rejected') throw each.reason
    stores.push(each.value)
  }
  started.move()
  return stores
}
