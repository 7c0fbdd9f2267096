// One sync for all that was written since the last one began. While a disk syncs, more is written; a
// disk that syncs and takes writes at the same time does twice as much as by turns.

export class GroupSync<T> {
  private readonly sync: (items: readonly T[]) => Promise<void>
  private waiting: { readonly item: T; readonly settled: PromiseWithResolvers<void> }[] = []
  private running: Promise<void> | undefined

  /** `sync` is called with what waits, in the order it came, one call at a time. */
  constructor(sync: (items: readonly T[]) => Promise<void>) {
    this.sync = sync
  }

  /** Resolves, or rejects, as the sync that this one is part of. */
  add(item: T): Promise<void> {
    const settled = Promise.withResolvers<void>()
    this.waiting.push({ item, settled })
    this.running ??= this.run()
    return settled.promise
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    while (this.running !== undefined) await this.running
  }

  private async run(): Promise<void> {
    while (this.waiting.length > 0) {
      const some = this.waiting
      this.waiting = []
      try {
        await this.sync(some.map(({ item }) => item))
        for (const { settled } of some) settled.resolve()
      } catch (error) {
        for (const { settled } of some) settled.reject(error)
      }
    }
    this.running = undefined
  }
}
