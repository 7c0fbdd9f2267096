// A storage peer of a test: one disk and one address, and the process that serves them now, if any.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../../mesh/conformance/eventually.ts'
import { systemClock, type StoreId } from '../../mesh/index.ts'
import { PeerClient } from '../../storage/index.ts'
import type { DigestAnswer, DigestRequest, LaneRuns } from '../../storage/query/peer.ts'
import { LocalStorage } from './local-storage.ts'
import type { TestMesh } from './mesh.ts'
import type { Namespace } from './namespace.ts'
import { hostSettings } from './network.ts'
import type { Runner } from './program.ts'

export interface StoragePeerOptions {
  readonly mesh: TestMesh
  /** Names its directory. */
  readonly name: string
  readonly endpoint: string
  readonly seeds: readonly string[]
  /** Where it runs; this host when absent. */
  readonly space?: Namespace
}

/** A process on two busy cores has its sockets up well within this. */
const START_MS = 60_000
const ASK_MS = 5_000

export class StoragePeer {
  readonly name: string
  readonly endpoint: string
  /** Of its process, when it is started the next time. */
  env: Readonly<Record<string, string>> = {}
  private readonly options: StoragePeerOptions
  private program: Runner | undefined
  private http = ''

  constructor(options: StoragePeerOptions) {
    this.options = options
    this.name = options.name
    this.endpoint = options.endpoint
  }

  /** Starts it on its disk and its address; resolves when it answers, which may be before it is a member. */
  async start(): Promise<void> {
    this.program = this.run()
    const { http } = await withinMs(START_MS, this.program.ready, `${this.name} is ready`)
    this.http = http!
  }

  private run(): Runner {
    const { mesh, name, endpoint, seeds, space } = this.options
    const nodeFlags = mesh.storeFlags
    const settings = hostSettings(mesh.network, space?.address ?? mesh.network.host, endpoint)
    if (mesh.network.transport === 'memory') {
      return mesh.runs(new LocalStorage(mesh.config(seeds, settings), name))
    }
    const words = [...mesh.flags(seeds, settings), 'node', 'storage', '--name', name]
    return mesh.startSkein(name, words, {
      nodeFlags,
      env: this.env,
      ...(space && { under: space.enter }),
    })
  }

  get directory(): string {
    return join(this.options.mesh.root, this.name)
  }

  /** Removes what its disk held: it comes back as another store. */
  wipe(): void {
    if (this.process.isRunning) throw new Error(`${this.name} is running: kill it first`)
    rmSync(this.directory, { recursive: true })
  }

  get process(): Runner {
    if (this.program === undefined) throw new Error(`${this.name} was never started`)
    return this.program
  }

  kill(): Promise<void> {
    return this.process.kill()
  }

  /** Ends it, whatever state it is in, if it was ever started. */
  async end(): Promise<void> {
    await this.program?.end()
  }

  /** Whether it is a member that acknowledges. */
  async isReady(): Promise<boolean> {
    const response = await fetch(`${this.http}/readyz`, { signal: AbortSignal.timeout(ASK_MS) })
    await response.body?.cancel()
    return response.ok
  }

  /** As /healthz has it: 503 with reasons while it acknowledges nothing. */
  async health(): Promise<{ readonly status: number; readonly reasons: readonly string[] }> {
    const response = await fetch(`${this.http}/healthz`, { signal: AbortSignal.timeout(ASK_MS) })
    const { reasons } = (await response.json()) as { reasons: readonly string[] }
    return { status: response.status, reasons }
  }

  /** What it holds itself: nobody else is asked. */
  digest(request: DigestRequest = {}): Promise<DigestAnswer> {
    const client = new PeerClient({ http: this.http, clock: systemClock })
    return client.digest(request, AbortSignal.timeout(ASK_MS))
  }

  /** Has it read these frames from its disk; returns how many it could. */
  async readFrames(lanes: readonly LaneRuns[]): Promise<number> {
    const client = new PeerClient({ http: this.http, clock: systemClock })
    let count = 0
    const request = { lanes, bytesMax: 1 << 30 }
    for await (const records of client.frames(request, AbortSignal.timeout(ASK_MS))) {
      count += records.length
    }
    return count
  }

  async storeId(): Promise<StoreId> {
    return (await this.digest({ sources: ['-'] })).storeId
  }

  /** Its own counters since it was started: skein_store_duplicates_total and so on. */
  async metric(name: string): Promise<number> {
    const response = await fetch(`${this.http}/metrics`, { signal: AbortSignal.timeout(ASK_MS) })
    const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(await response.text())?.[1]
    if (value === undefined) throw new Error(`${this.name} has no metric ${name}`)
    return Number(value)
  }

  /** Resolves when it counts as an answer to a query: it has all that enough others hold. */
  async caughtUp(deadlineMs: number): Promise<void> {
    await eventually(async () => (await this.digest({ sources: ['-'] })).notCounted === undefined, {
      what: `${this.name} has caught up`,
      deadlineMs,
      everyMs: 50,
    })
  }
}

async function withinMs<T>(ms: number, promise: Promise<T>, what: string): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`not within ${ms} ms: ${what}`)), ms)
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
