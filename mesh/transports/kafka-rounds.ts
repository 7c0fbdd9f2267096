/** Tells a flush when all that was published before it is done, whatever is published after it. */
export class Rounds {
  private current = 0
  private readonly open = new Map<number, number>()
  private readonly waiting: { readonly upTo: number; readonly resolve: () => void }[] = []

  enter(): number {
    this.open.set(this.current, (this.open.get(this.current) ?? 0) + 1)
    return this.current
  }

  leave(round: number): void {
    const left = this.open.get(round)! - 1
    if (left > 0) {
      this.open.set(round, left)
      return
    }
    this.open.delete(round)
    for (let first = this.waiting[0]; first !== undefined; first = this.waiting[0]) {
      if (!this.isDone(first.upTo)) return
      this.waiting.shift()
      first.resolve()
    }
  }

  finished(): Promise<void> {
    const upTo = this.current
    if (this.isDone(upTo)) return Promise.resolve()
    this.current += 1
    return new Promise((resolve) => this.waiting.push({ upTo, resolve }))
  }

  private isDone(upTo: number): boolean {
    for (const round of this.open.keys()) if (round <= upTo) return false
    return true
  }
}
