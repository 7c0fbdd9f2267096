// What goes on at a storage peer beside its traffic, for the sake of its disk: retention, compaction and
// the scrub.
import { systemClock } from '../../mesh/index.ts'
import { Scrub, Upkeep } from '../../storage/index.ts'
import type { Config } from '../config/config.ts'
import type { StoreDisk } from './disk.ts'
import { retentionClasses } from './retention-classes.ts'

export interface DiskCareOptions {
  readonly config: Config
  readonly disk: StoreDisk
  /** Frames were found damaged: the sooner they are fetched, the better. */
  readonly onDamage: () => void
  readonly onWarning: (message: string) => void
}

export class DiskCare implements AsyncDisposable {
  readonly upkeep: Upkeep
  readonly scrub: Scrub

  private readonly disk: StoreDisk

  constructor({ config, disk, onDamage, onWarning }: DiskCareOptions) {
    this.disk = disk
    const { store, latest, scrubbed } = disk
    const warn =
      (what: string) =>
      (error: unknown): void =>
        onWarning(`${what}: ${(error as Error).message}`)
    this.upkeep = new Upkeep({
      store,
      clock: systemClock,
      bucketMs: config.storage.bucketUs / 1000,
      classes: retentionClasses(config),
      compacts: config.storage.compact,
      onTrimmed: () => latest.forget(store),
      onError: warn('upkeep'),
    })
    this.scrub = new Scrub({
      store,
      clock: systemClock,
      periodMs: config.storage.scrub.everyUs / 1000,
      bytesPerSecond: config.storage.scrub.bytesPerSecond,
      onDamage,
      onPass: (endedUs) => scrubbed.save({ lastPassUs: endedUs }),
      onError: warn('scrub'),
    })
  }

  async start(): Promise<void> {
    const { scrubbed, directory } = this.disk
    // One that cannot be read says nothing: then all is read again sooner.
    const known = await scrubbed.load().catch(() => undefined)
    this.upkeep.start()
    this.scrub.start(known?.lastPassUs ?? directory.identity.createdUs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scrub.stop()
    await this.upkeep.stop()
  }
}
