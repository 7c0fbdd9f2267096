// What a storage peer has on its disk, opened together and closed in the reverse order: the directory
// and its lock, the schemas, the frames, the member table; and the one writer that adds to it.
import { join } from 'node:path'
import {
  codecFor,
  newestSample,
  SHARDS,
  systemClock,
  systemRandom,
  type Frame,
  type IndexedSample,
  type PeerId,
} from '../../mesh/index.ts'
import {
  classFinder,
  DurableJson,
  Latest,
  openLevelStore,
  openSchemaStore,
  openStoreDirectory,
  Writer,
  type CommitResult,
  type LevelStore,
  type MemberDocument,
  type SchemaStore,
  type StoreDirectory,
} from '../../storage/index.ts'
import type { Config } from '../config/config.ts'
import { identityOf } from '../identity.ts'
import { retentionClasses } from './retention-classes.ts'

export interface DiskOptions {
  readonly config: Config
  /** Names the directory under the data path. */
  readonly name: string
  /** What a commit settled, after `latest` knows of it. */
  readonly onCommitted: (results: readonly CommitResult<PeerId>[]) => void
}

/** When everything was last read through, µs since the Unix epoch. */
export interface ScrubDocument {
  readonly lastPassUs: number
}

/** What a store holds, all lives of its process together. */
export interface Held {
  readonly frames: number
  readonly samples: number
  readonly diskBytes: number
}

export class StoreDisk implements AsyncDisposable {
  readonly directory: StoreDirectory
  readonly schemas: SchemaStore
  readonly store: LevelStore
  readonly latest: Latest
  readonly writer: Writer<PeerId>
  readonly members: DurableJson<MemberDocument>
  readonly scrubbed: DurableJson<ScrubDocument>
  /** Commits there had been when it was counted. */
  private countedAt = -1
  private counted: Promise<Held> = Promise.resolve({ frames: 0, samples: 0, diskBytes: 0 })

  private constructor(
    directory: StoreDirectory,
    schemas: SchemaStore,
    store: LevelStore,
    options: DiskOptions,
  ) {
    this.directory = directory
    this.schemas = schemas
    this.store = store
    this.latest = new Latest({ newest: (frame) => this.newest(frame) })
    this.scrubbed = new DurableJson<ScrubDocument>(directory.path('scrub.json'))
    this.members = new DurableJson<MemberDocument>(directory.path('members.json'))
    this.writer = new Writer<PeerId>({
      store,
      clock: systemClock,
      budgetBytes: options.config.storage.budgetBytes,
      onCommitted: (results) => {
        this.latest.update(results.filter(({ outcome }) => outcome === 'stored'))
        options.onCommitted(results)
      },
    })
  }

  /** @throws StorageError STORE_IN_USE, STORE_WRONG_MESH, STORE_FORMAT_UNKNOWN, STORE_DAMAGED. */
  static async open(options: DiskOptions): Promise<StoreDisk> {
    const { config, name } = options
    // Closed again, in the reverse order, unless all of it opens.
    await using opened = new AsyncDisposableStack()
    const directory = opened.use(
      await openStoreDirectory({
        directory: join(config.dataPath, name),
        mesh: identityOf(config),
        shards: SHARDS,
        clock: systemClock,
        random: systemRandom,
      }),
    )
    const schemas = await openSchemaStore(directory.path('schemas'))
    const store = opened.use(
      await openLevelStore({
        directory: directory.directory,
        bucketMs: config.storage.bucketUs / 1000,
        classOf: classFinder(retentionClasses(config)),
        schemas,
      }),
    )
    const disk = new StoreDisk(directory, schemas, store, options)
    await disk.latest.rebuild(store)
    opened.move()
    return disk
  }

  /** Settles what was taken, seals the store, and lets others have the directory. */
  async close(): Promise<void> {
    try {
      await this.writer.close()
      await this.store.close()
    } finally {
      await this.directory.close()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /**
   * From the store itself. Counting walks the directory: the last answer stands while nothing is
   * committed, and while the directory cannot be read.
   */
  held(): Promise<Held> {
    const { batches } = this.writer.counters
    if (batches !== this.countedAt) {
      this.countedAt = batches
      const before = this.counted
      this.counted = this.store.stats().catch(() => before)
    }
    return this.counted
  }

  /** Undefined for what its publisher got wrong: that is not served, here as in a scan. */
  private newest(frame: Frame): IndexedSample | undefined {
    const schema = this.schemas.get(frame.schemaId)
    if (schema === undefined) return undefined
    try {
      return newestSample(codecFor(frame.codec), frame.body, frame.count, schema)
    } catch {
      return undefined
    }
  }
}
