// Work that must not overlap, one after another in the order it came.

export class Turns {
  private last: Promise<unknown> = Promise.resolve()

  /** Resolves, or rejects, as the work does once it had its turn. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work)
    this.last = result.catch(() => undefined)
    return result
  }
}
