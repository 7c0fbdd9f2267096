// A bounded number of open files or databases, opened when used and closed when others need the
// place. What is in use is never closed, so the bound may be exceeded while more are used at once.

interface Slot<T> {
  readonly handle: Promise<T>
  users: number
  /** Set when the slot is to be closed as soon as its last user is done. */
  onIdle: (() => void) | undefined
}

export interface HandlePoolOptions<T> {
  readonly openMax: number
  readonly open: (key: string) => Promise<T>
  readonly close: (handle: T) => Promise<void>
}

export class HandlePool<T> {
  private readonly options: HandlePoolOptions<T>
  /** Least recently used first. */
  private readonly slots = new Map<string, Slot<T>>()
  /** LevelDB refuses to open a directory it is still closing. */
  private readonly closing = new Map<string, Promise<void>>()

  constructor(options: HandlePoolOptions<T>) {
    this.options = options
  }

  async use<R>(key: string, work: (handle: T) => Promise<R>): Promise<R> {
    const slot = this.take(key)
    slot.users += 1
    try {
      return await work(await slot.handle)
    } finally {
      slot.users -= 1
      if (slot.users === 0) slot.onIdle?.()
      this.trim()
    }
  }

  /** Closes one handle, or all, once nobody uses them; they open again when next used. */
  async close(key?: string): Promise<void> {
    const keys = key === undefined ? [...this.slots.keys()] : [key]
    for (const each of keys) this.release(each)
    await Promise.all(this.closing.values())
  }

  private take(key: string): Slot<T> {
    let slot = this.slots.get(key)
    if (slot === undefined) {
      const closed = this.closing.get(key) ?? Promise.resolve()
      slot = { handle: closed.then(() => this.options.open(key)), users: 0, onIdle: undefined }
      const opened = slot
      // A handle that failed to open is tried afresh by the next user.
      opened.handle.catch(() => {
        if (this.slots.get(key) === opened) this.slots.delete(key)
      })
    }
    this.slots.delete(key)
    this.slots.set(key, slot)
    return slot
  }

  private trim(): void {
    for (const [key, { users }] of this.slots) {
      if (this.slots.size <= this.options.openMax) return
      if (users === 0) this.release(key)
    }
  }

  private release(key: string): void {
    const slot = this.slots.get(key)
    if (slot === undefined) return
    this.slots.delete(key)
    const idle = new Promise<void>((resolve) => {
      if (slot.users === 0) resolve()
      else slot.onIdle = resolve
    })
    const closed = idle
      .then(() => slot.handle)
      .then((handle) => this.options.close(handle))
      // One that could not be opened or closed has nothing left to close.
      .catch(() => undefined)
      .finally(() => {
        if (this.closing.get(key) === closed) this.closing.delete(key)
      })
    this.closing.set(key, closed)
  }
}
