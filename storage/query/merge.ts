// Merges sorted streams of batches into one sorted stream of batches: a k-way merge by looking at
// the first of each, since k is the number of stores. Memory: one batch per stream.

/** Streams that end early are returned from; an error of one ends all. */
export async function* mergeSorted<T>(
  streams: readonly AsyncGenerator<T[]>[],
  compare: (a: T, b: T) => number,
): AsyncGenerator<T[]> {
  if (streams.length === 1) {
    yield* streams[0]!
    return
  }
  const cursors = streams.map((stream) => new Cursor(stream))
  try {
    await Promise.all(cursors.map((cursor) => cursor.fill()))
    let open = cursors.filter((cursor) => !cursor.isDone)
    while (open.length > 0) {
      const merged: T[] = []
      let least = leastOf(open, compare)
      for (;;) {
        merged.push(least.take())
        if (least.isEmpty) break
        least = leastOf(open, compare)
      }
      yield merged
      await least.fill()
      open = open.filter((cursor) => !cursor.isDone)
    }
  } finally {
    await Promise.allSettled(cursors.map((cursor) => cursor.close()))
  }
}

class Cursor<T> {
  isDone = false
  private readonly stream: AsyncGenerator<T[]>
  private batch: T[] = []
  private at = 0

  constructor(stream: AsyncGenerator<T[]>) {
    this.stream = stream
  }

  get isEmpty(): boolean {
    return this.at >= this.batch.length
  }

  get first(): T {
    return this.batch[this.at]!
  }

  take(): T {
    return this.batch[this.at++]!
  }

  async fill(): Promise<void> {
    while (this.isEmpty && !this.isDone) {
      const next = await this.stream.next()
      this.at = 0
      this.batch = next.done === true ? [] : next.value
      this.isDone = next.done === true
    }
  }

  async close(): Promise<void> {
    await this.stream.return(undefined)
  }
}

function leastOf<T>(cursors: readonly Cursor<T>[], compare: (a: T, b: T) => number): Cursor<T> {
  let least = cursors[0]!
  for (const cursor of cursors) if (compare(cursor.first, least.first) < 0) least = cursor
  return least
}
