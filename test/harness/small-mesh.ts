// The smallest mesh (R = W = 1) as somebody types it, on any transport: one command line for its store, for
// whoever publishes to it, with an outbox on disk, and for whoever asks it.
import type { TransportName } from '../../mesh/index.ts'
import type { Shell, Command, CommandOptions, Ended } from './command.ts'
import { testMeshName } from './mesh.ts'

/** Where a transport's server, the DHT node in its place, or the store itself is written down. */
const ADDRESS_KEYS = {
  zeromq: 'seeds',
  nats: 'nats.servers',
  kafka: 'kafka.brokers',
  zenoh: 'zenoh.bridge',
  hyperswarm: 'hyperswarm.bootstrap',
} as const satisfies Partial<Record<TransportName, string>>

export interface SmallMeshOptions {
  readonly transport: keyof typeof ADDRESS_KEYS
  readonly address: string
  readonly name?: string
  /** As `--set`. */
  readonly settings?: readonly string[]
}

export interface StoredRow {
  readonly source: string
  readonly timeUs: number
  readonly fields: Readonly<Record<string, unknown>>
}

export const SMALL_STREAM = 'small.test'

export class SmallMesh {
  readonly cwd: string
  readonly name: string
  private readonly shell: Shell
  private readonly options: SmallMeshOptions

  constructor(shell: Shell, options: SmallMeshOptions) {
    this.shell = shell
    this.options = options
    this.cwd = shell.directory()
    this.name = options.name ?? testMeshName()
  }

  /** The command line of every process, up to its verb; later settings win. */
  flags(settings: readonly string[] = []): string[] {
    const { transport, address, settings: own = [] } = this.options
    const all = [
      `mesh.name=${this.name}`,
      'mesh.founder=s1',
      'mesh.replicas=1',
      'mesh.writeQuorum=1',
      'publisher.outbox.disk=64MiB',
      `${ADDRESS_KEYS[transport]}=${address}`,
      ...(transport === 'hyperswarm' ? ['hyperswarm.host=127.0.0.1'] : []),
      ...own,
      ...settings,
    ]
    const pairs = all.flatMap((setting) => ['--set', setting])
    return ['--data', this.cwd, '--transport', transport, ...pairs]
  }

  startStore(settings: readonly string[] = []): Command {
    const { transport, address } = this.options
    const bind = transport === 'zeromq' ? [`zeromq.bind=${address}`] : []
    return this.start(['node', 'storage', '--name', 's1'], [...bind, ...settings])
  }

  /** Rows x = from, from + 1, …; ends when they are stored, or after `timeoutS`. */
  startPublish(
    from: number,
    count: number,
    timeoutS: number,
    settings: readonly string[] = [],
  ): Command {
    const rows = Array.from({ length: count }, (_, i) => ({ source: 'S1', x: from + i }))
    const input = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
    const words = ['publish', SMALL_STREAM, '--timeout', String(timeoutS)]
    return this.start(words, settings, { input })
  }

  start(
    words: readonly string[],
    settings: readonly string[] = [],
    options: CommandOptions = {},
  ): Command {
    return this.shell.start([...this.flags(settings), ...words], { cwd: this.cwd, ...options })
  }

  run(words: readonly string[], settings: readonly string[] = []): Promise<Ended> {
    return this.start(words, settings).ended
  }

  /** The x of everything stored, sorted: once for each time that it is there. */
  async stored(): Promise<number[]> {
    const { code, stdout, stderr } = await this.run([
      'query',
      'range',
      '-s',
      SMALL_STREAM,
      '--json',
    ])
    if (code !== 0) throw new Error(`the query ended with ${code}:\n${stderr}`)
    const lines = stdout.trimEnd().split('\n').slice(0, -1)
    const rows = lines.map((line) => JSON.parse(line) as StoredRow)
    return rows.map(({ fields }) => fields['x'] as number).toSorted((a, b) => a - b)
  }
}

export const numbers = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => from + i)
