// A mesh of real processes for one test: storage peers and whatever else it starts, all under one
// temporary directory and one name, so that no two tests can talk to each other.
//
//   const mesh = createMesh(onTestFinished)     ended and removed with the test, however that ends
//   await mesh.startStores(3)                   the first is everybody's seed
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'vitest'
import { eventually } from '../../mesh/conformance/eventually.ts'
import { rankStores, SHARDS, systemRandom, type StoreId } from '../../mesh/index.ts'
import { loadConfig, openAsking, parseOverride, type Config } from '../../nodes/index.ts'
import { parseQuery, type Coverage, type Row, type BucketRow } from '../../storage/index.ts'
import { Command, SKEIN, type Ended } from './command.ts'
import type { Namespace } from './namespace.ts'
import { ZEROMQ, type TestNetwork } from './network.ts'
import { freeEndpoint } from './ports.ts'
import { Program, type ProgramOptions, type Runner } from './program.ts'
import { StoragePeer } from './storage-peer.ts'

/** Two cores, several test files at once: a mesh that takes longer than this to settle is broken. */
export const SETTLE_MS = 30_000
const CLOSE_MS = 30_000

export interface Asked<R> {
  readonly rows: R[]
  readonly coverage: Coverage
}

/** A name of its own: no two tests can talk to each other. */
export function testMeshName(): string {
  return `test-${Buffer.from(systemRandom.bytes(8)).toString('hex')}`
}

/** A mesh for one test, ended when the test is, also when that has failed or timed out. */
export function createMesh(
  onTestFinished: TestContext['onTestFinished'],
  network?: TestNetwork,
): TestMesh {
  const mesh = new TestMesh(network)
  onTestFinished(() => mesh.close(), CLOSE_MS)
  return mesh
}

export class TestMesh implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), 'skein-test-'))
  readonly stores: StoragePeer[] = []
  /** What it runs on now; processes that run already stay where they are. */
  network: TestNetwork
  readonly name = testMeshName()
  /** Of Node.js, for storage peers that are started from now on. */
  storeFlags: readonly string[] = []
  private readonly programs: Runner[] = []

  constructor(network: TestNetwork = ZEROMQ) {
    this.network = network
  }

  /** Starts storage peers s1 … sN; the first founds the mesh and is the seed of the others. */
  async startStores(count: number): Promise<void> {
    const endpoints = await this.endpoints(count)
    for (const endpoint of endpoints) this.addStore(endpoint, [endpoints[0]!])
    await this.stores[0]!.start()
    await Promise.all(this.stores.slice(1).map((store) => store.start()))
    await this.joined()
  }

  /** That many addresses to give to peers: the same ones whenever these come back. */
  endpoints(count: number): Promise<string[]> {
    const { transport, host } = this.network
    const endpoint = (): Promise<string> =>
      transport === 'memory' ? Promise.resolve(`memory://${testMeshName()}`) : freeEndpoint(host)
    return Promise.all(Array.from({ length: count }, endpoint))
  }

  /** A storage peer that is not started yet. */
  addStore(endpoint: string, seeds: readonly string[], space?: Namespace): StoragePeer {
    const name = `s${this.stores.length + 1}`
    const peer = new StoragePeer({ mesh: this, name, endpoint, seeds, ...(space && { space }) })
    this.stores.push(peer)
    return peer
  }

  /** Resolves when every running store acknowledges. */
  async joined(stores: readonly StoragePeer[] = this.stores): Promise<void> {
    await eventually(
      async () => {
        const joined = await Promise.all(stores.map((store) => store.isReady()))
        return joined.every(Boolean)
      },
      { what: 'all stores are members', deadlineMs: SETTLE_MS, everyMs: 20 },
    )
  }

  get seed(): string {
    return this.stores[0]!.endpoint
  }

  /** The command line of every process of this mesh, up to its verb. */
  flags(seeds: readonly string[], settings: readonly string[] = []): string[] {
    const all = [...this.settings, ...settings]
    const pairs = [
      ...all.map((setting) => ['--set', setting]),
      ...(this.hasSeeds ? seeds.map((seed) => ['--seed', seed]) : []),
    ]
    return ['--data', this.root, ...pairs.flat()]
  }

  private get hasSeeds(): boolean {
    return ['zeromq', 'memory'].includes(this.network.transport)
  }

  private get settings(): string[] {
    const { transport, settings } = this.network
    const founder = 'mesh.founder=s1'
    return [`mesh.name=${this.name}`, founder, `transport=${transport}`, ...settings]
  }

  /** Starts `skein …` as a process to talk with. */
  startSkein(
    name: string,
    args: readonly string[],
    options: Pick<ProgramOptions, 'under' | 'nodeFlags' | 'env'> = {},
  ): Program {
    return this.start({ ...options, name, script: SKEIN, args })
  }

  start(options: Omit<ProgramOptions, 'cwd'>): Program {
    return this.runs(new Program({ ...options, cwd: this.root }))
  }

  /** To be ended with the mesh. */
  runs<R extends Runner>(runner: R): R {
    this.programs.push(runner)
    return runner
  }

  /** Runs a verb to its end. */
  skein(args: readonly string[], seeds: readonly string[] = [this.seed]): Promise<Ended> {
    return new Command([...this.flags(seeds), ...args], { cwd: this.root }).ended
  }

  /** The configuration that this mesh's processes have, for one that lives in the test itself. */
  config(seeds: readonly string[] = [this.seed], settings: readonly string[] = []): Config {
    const texts = [...this.settings, ...settings]
    const overrides = [
      ...texts.map((text) => parseOverride(text)),
      { key: 'data', value: this.root, flag: '--data' },
      ...(this.hasSeeds ? [{ key: 'seeds', value: seeds, flag: '--seed' }] : []),
    ]
    return loadConfig({ cwd: this.root, env: {}, overrides }).config
  }

  /** Asks as `skein query` does, as somebody who has just come and knows only the seeds. */
  async ask<R extends Row | BucketRow = Row>(
    query: Record<string, unknown>,
    seeds: readonly string[] = [this.seed],
  ): Promise<Asked<R>> {
    await using asking = await openAsking(this.config(seeds))
    const parsed = parseQuery(query, Date.now() * 1000)
    const answer = await asking.asker.ask(parsed, AbortSignal.timeout(60_000))
    const rows: R[] = []
    for await (const row of answer.rows) rows.push(row as R)
    return { rows, coverage: await answer.coverage }
  }

  /** Makes a directory under the mesh's own. */
  directory(name: string): string {
    const path = join(this.root, name)
    if (!existsSync(path)) mkdirSync(path, { recursive: true })
    return path
  }

  /** Ends every process, and removes what they left. */
  async close(): Promise<void> {
    await Promise.all(this.programs.map((program) => program.end()))
    rmSync(this.root, { recursive: true, force: true, maxRetries: 3 })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** The shards that a store owns, by the placement of the design. */
export function ownedShards(
  store: StoreId,
  members: readonly StoreId[],
  replicas = 2,
): Set<number> {
  const shards = Array.from({ length: SHARDS }, (_, shard) => shard)
  return new Set(
    shards.filter((shard) => rankStores(shard, members).slice(0, replicas).includes(store)),
  )
}
