// The directory of one storage peer: whose it is, and that only one process uses it.
//
//   <data>/store.json   format, store id, mesh: written once
//   <data>/life.json    which life of its process this is
//   <data>/lock/        held while a process uses the directory
//   <data>/schemas/     schema-store.ts
//   <data>/buckets/     level/
//
// A store id names a disk. It is made with the directory and never again: a peer whose disk is gone
// comes back as another store, so that nobody counts what the old one acknowledged as still there.
import fs from 'node:fs'
import path from 'node:path'
import {
  newStoreId,
  type Clock,
  type MeshIdentity,
  type Random,
  type StoreId,
} from '../mesh/index.ts'
import { lockDirectory, type DirectoryLock } from './directory-lock.ts'
import { DurableJson } from './durable-json.ts'
import { StorageError } from './errors.ts'
import { makeDirectory } from './level/disk.ts'

/** The format this code writes and reads. */
export const STORE_FORMAT = 1

/** The contents of store.json. */
export interface StoreIdentity {
  readonly format: number
  readonly storeId: StoreId
  readonly meshId: string
  readonly meshName: string
  readonly replicas: number
  readonly writeQuorum: number
  readonly shards: number
  /** µs since the Unix epoch. */
  readonly createdUs: number
}

export interface StoreDirectoryOptions {
  readonly directory: string
  readonly mesh: MeshIdentity
  readonly shards: number
  readonly clock: Clock
  readonly random: Random
}

export class StoreDirectory implements AsyncDisposable {
  readonly directory: string
  readonly identity: StoreIdentity
  /** The directory is new: this store holds nothing yet. */
  readonly isNew: boolean
  private readonly lock: DirectoryLock

  constructor(directory: string, identity: StoreIdentity, isNew: boolean, lock: DirectoryLock) {
    this.directory = directory
    this.identity = identity
    this.isNew = isNew
    this.lock = lock
  }

  /** Path of something in the directory. */
  path(...names: readonly string[]): string {
    return path.join(this.directory, ...names)
  }

  /**
   * A number greater than that of every process before this one: when it began, unless the clock has been
   * set back since. Once only.
   */
  async beginLife(clock: Clock): Promise<number> {
    const document = new DurableJson<{ readonly incarnation: number }>(this.path('life.json'))
    // One that is damaged says nothing; only a clock set back would need it.
    const last = await document.load().catch(() => undefined)
    const incarnation = Math.max(clock.nowUs(), (last?.incarnation ?? 0) + 1)
    // On a full disk a store is still to start, and to be asked.
    await document.save({ incarnation }).catch(() => undefined)
    return incarnation
  }

  /** Lets other processes have the directory. Close everything in it first. */
  async close(): Promise<void> {
    await this.lock.release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Opens the directory of a store of this mesh, or makes it.
 * @throws StorageError STORE_IN_USE, STORE_WRONG_MESH, STORE_FORMAT_UNKNOWN, STORE_DAMAGED.
 */
export async function openStoreDirectory(options: StoreDirectoryOptions): Promise<StoreDirectory> {
  const directory = path.resolve(options.directory)
  await makeDirectory(directory)
  const lock = await lockDirectory(path.join(directory, 'lock'))
  try {
    const document = new DurableJson<StoreIdentity>(path.join(directory, 'store.json'))
    const found = await document.load()
    if (found !== undefined) {
      checkIdentity(found, options, directory)
      return new StoreDirectory(directory, found, false, lock)
    }
    if (fs.existsSync(path.join(directory, 'buckets'))) {
      throw new StorageError(
        'STORE_DAMAGED',
        `${directory} holds frames but no store.json: put it back, or choose another --data`,
      )
    }
    const identity = newIdentity(options)
    await document.save(identity)
    return new StoreDirectory(directory, identity, true, lock)
  } catch (error) {
    await lock.release()
    throw error
  }
}

function newIdentity({ mesh, shards, clock, random }: StoreDirectoryOptions): StoreIdentity {
  return {
    format: STORE_FORMAT,
    storeId: newStoreId(random),
    meshId: mesh.id,
    meshName: mesh.name,
    replicas: mesh.replicas,
    writeQuorum: mesh.writeQuorum,
    shards,
    createdUs: clock.nowUs(),
  }
}

function checkIdentity(
  found: StoreIdentity,
  { mesh, shards }: StoreDirectoryOptions,
  directory: string,
): void {
  if (found.format !== STORE_FORMAT) {
    throw new StorageError(
      'STORE_FORMAT_UNKNOWN',
      `${directory} has format ${found.format}, this version knows ${STORE_FORMAT}: use the version that wrote it`,
      { details: { format: found.format } },
    )
  }
  const details = { directory, found: found.meshName, wanted: mesh.name }
  if (found.meshId !== mesh.id) {
    throw new StorageError(
      'STORE_WRONG_MESH',
      `${directory} belongs to mesh "${found.meshName}", not to "${mesh.name}": ` +
        'choose another --data, or --fresh to start over without its data',
      { details },
    )
  }
  const { replicas, writeQuorum } = mesh
  const fixed = { replicas, writeQuorum, shards }
  for (const [what, wanted] of Object.entries(fixed) as [keyof typeof fixed, number][]) {
    if (found[what] === wanted) continue
    throw new StorageError(
      'STORE_WRONG_MESH',
      `${directory}: mesh "${found.meshName}" was created with ${what} ${found[what]}, not ${wanted}: ` +
        'configure it so, or choose another --data',
      { details },
    )
  }
}
