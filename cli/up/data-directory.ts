// The data directory of a `skein up`: one at a time in it, found by other terminals, emptied by --fresh.
//
//   <data>/lock/        held while an up runs on it; the kernel drops it however the process ends
//   <data>/mesh.json    where the mesh that runs here is reached
//   <data>/storage-1/   … a storage peer each
//   <data>/outbox/      of publishers with a disk outbox
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { NodeError, type Config } from '../../nodes/index.ts'
import { lockDirectory, StorageError } from '../../storage/index.ts'

/** Where other terminals find the mesh. */
interface MeshFile {
  readonly pid: number
  readonly reach: Reach
}

/** How the mesh is reached: what replaces the same keys of the configuration. */
export type Reach = Pick<Config, 'transport' | 'seeds'>

const MESH_FILE = 'mesh.json'

export class DataDirectory implements AsyncDisposable {
  readonly path: string
  private readonly unlock: () => Promise<void>

  private constructor(path: string, unlock: () => Promise<void>) {
    this.path = path
    this.unlock = unlock
  }

  /** @throws StorageError STORE_IN_USE while another up runs on it; NodeError NODE_START_FAILED. */
  static async claim(path: string): Promise<DataDirectory> {
    makeDirectory(path)
    const lock = await lockedBy(path, join(path, 'lock'), () => {
      const { pid } = readJson(path) ?? {}
      const process = pid === undefined ? '' : ` (process ${pid})`
      return (
        `a mesh is already running on ${path}${process}: stop it, use it from this terminal ` +
        `(skein status), or start this one with another --data and another --seed`
      )
    })
    return new DataDirectory(path, () => lock.release())
  }

  /** Tells other terminals where the mesh is. */
  announce(reach: Reach): void {
    const file: MeshFile = { pid: process.pid, reach }
    // Renamed into place: a reader sees all of it or nothing.
    // Passwords of a broker may be in it.
    writeFileSync(join(this.path, `${MESH_FILE}.tmp`), `${JSON.stringify(file)}\n`, { mode: 0o600 })
    renameSync(join(this.path, `${MESH_FILE}.tmp`), join(this.path, MESH_FILE))
  }

  /**
   * Removes what earlier runs stored, and nothing else that may lie here.
   * @throws StorageError STORE_IN_USE when a storage peer still uses its directory.
   */
  async empty(): Promise<void> {
    const stores = readdirSync(this.path).filter((name) => isStore(join(this.path, name)))
    for (const name of stores) {
      const store = join(this.path, name)
      const lock = await lockedBy(
        this.path,
        join(store, 'lock'),
        () => `${store} is used by a storage peer: stop it before its data is removed`,
      )
      await lock.release()
    }
    for (const name of [...stores, 'outbox']) {
      rmSync(join(this.path, name), { recursive: true, force: true })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(join(this.path, MESH_FILE), { force: true })
    await this.unlock()
  }
}

/** Of the mesh that runs on this data directory; undefined when none does. */
export function readMeshFile(dataPath: string): MeshFile | undefined {
  const file = readJson(dataPath)
  return file?.reach !== undefined && isAlive(file.pid) ? file : undefined
}

function readJson(dataPath: string): MeshFile | undefined {
  try {
    return JSON.parse(readFileSync(join(dataPath, MESH_FILE), 'utf8')) as MeshFile
  } catch {
    // Not there, or not ours to read.
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function isStore(path: string): boolean {
  return existsSync(join(path, 'store.json')) || /[/\\]storage-\d+$/.test(path)
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true })
  } catch (error) {
    throw unusable(path, error)
  }
}

async function lockedBy(
  path: string,
  lock: string,
  inUse: () => string,
): Promise<Awaited<ReturnType<typeof lockDirectory>>> {
  try {
    return await lockDirectory(lock)
  } catch (error) {
    if (error instanceof StorageError && error.code === 'STORE_IN_USE') {
      throw new StorageError('STORE_IN_USE', inUse(), { cause: error, details: { path } })
    }
    throw unusable(path, error)
  }
}

function unusable(path: string, cause: unknown): NodeError {
  const reason = cause instanceof Error ? ((cause.cause as Error)?.message ?? cause.message) : ''
  return new NodeError(
    'NODE_START_FAILED',
    `${path} cannot be used for data: ${reason}; choose another --data`,
    { cause, details: { path } },
  )
}
