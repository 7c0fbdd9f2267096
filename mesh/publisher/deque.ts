// A queue with cheap ends: an array and the index of its head, trimmed when half of it is spent.

export class Deque<T> {
  private items: T[] = []
  private head = 0

  get length(): number {
    return this.items.length - this.head
  }

  push(item: T): void {
    this.items.push(item)
  }

  first(): T | undefined {
    return this.items[this.head]
  }

  last(): T | undefined {
    return this.length === 0 ? undefined : this.items.at(-1)
  }

  at(index: number): T | undefined {
    return this.items[this.head + index]
  }

  shift(): T | undefined {
    if (this.head >= this.items.length) return undefined
    const item = this.items[this.head]!
    this.head += 1
    if (this.head === this.items.length) this.clear()
    else if (this.head >= 1024 && this.head * 2 >= this.items.length) {
      this.items = this.items.slice(this.head)
      this.head = 0
    }
    return item
  }

  /** Takes items off the front as long as they pass. */
  shiftWhile(passes: (item: T) => boolean): void {
    while (this.length > 0 && passes(this.first()!)) this.shift()
  }

  clear(): void {
    this.items = []
    this.head = 0
  }

  /** Keeps only the items that pass. */
  retain(keep: (item: T) => boolean): void {
    this.items = this.items.slice(this.head).filter(keep)
    this.head = 0
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = this.head; i < this.items.length; i++) yield this.items[i]!
  }
}
