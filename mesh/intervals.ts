// A set of sequences as sorted, disjoint, non-adjacent runs [a, b]: what a store holds of a lane. In
// order arrival keeps it at one run whatever the length of history, which is why sets, not hashes,
// are what peers compare.
//
//   runs = [a0, b0, a1, b1, …]   with b(i) + 1 < a(i+1)

export class IntervalSet {
  private readonly runs: number[]

  constructor(runs: readonly number[] = []) {
    this.runs = []
    for (let i = 0; i < runs.length; i += 2) this.add(runs[i]!, runs[i + 1])
  }

  get isEmpty(): boolean {
    return this.runs.length === 0
  }

  /** Number of runs. */
  get runCount(): number {
    return this.runs.length / 2
  }

  /** Number of sequences in the set. */
  get size(): number {
    let size = 0
    for (let i = 0; i < this.runs.length; i += 2) size += this.runs[i + 1]! - this.runs[i]! + 1
    return size
  }

  /** Greatest sequence, 0 when empty. */
  get last(): number {
    return this.runs.at(-1) ?? 0
  }

  /** Adds every sequence of [from, to]. @throws RangeError unless 1 <= from <= to, both safe integers. */
  add(from: number, to: number = from): void {
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 1 || to < from) {
      throw new RangeError(`run ${from}..${to} is not a run of sequences`)
    }
    const { runs } = this
    const lastAt = runs.length - 1
    if (lastAt < 0 || from > runs[lastAt]! + 1) {
      runs.push(from, to)
      return
    }
    if (from >= runs[lastAt - 1]!) {
      if (to > runs[lastAt]!) runs[lastAt] = to
      return
    }
    // The first run that ends at or after from - 1, and the first that begins after to + 1.
    const first = this.runIndex(from - 1)
    let end = first
    while (end < runs.length && runs[end]! <= to + 1) end += 2
    const merged = end > first
    const a = merged ? Math.min(from, runs[first]!) : from
    const b = merged ? Math.max(to, runs[end - 1]!) : to
    runs.splice(first, end - first, a, b)
  }

  addAll(other: IntervalSet): void {
    for (let i = 0; i < other.runs.length; i += 2) this.add(other.runs[i]!, other.runs[i + 1])
  }

  has(sequence: number): boolean {
    const { runs } = this
    const lastAt = runs.length - 1
    if (lastAt < 0 || sequence > runs[lastAt]!) return false
    if (sequence >= runs[lastAt - 1]!) return true
    const at = this.runIndex(sequence)
    return at < runs.length && runs[at]! <= sequence
  }

  /** The run that holds `sequence`, as [a, b]. */
  runAt(sequence: number): readonly [number, number] | undefined {
    const at = this.runIndex(sequence)
    const { runs } = this
    return at < runs.length && runs[at]! <= sequence ? [runs[at]!, runs[at + 1]!] : undefined
  }

  /** A new set: what is in this one and not in `other`. */
  minus(other: IntervalSet): IntervalSet {
    const result = new IntervalSet()
    let j = 0
    for (let i = 0; i < this.runs.length; i += 2) {
      let from = this.runs[i]!
      const to = this.runs[i + 1]!
      while (j < other.runs.length && other.runs[j + 1]! < from) j += 2
      for (let k = j; k < other.runs.length && other.runs[k]! <= to; k += 2) {
        if (other.runs[k]! > from) result.add(from, other.runs[k]! - 1)
        from = other.runs[k + 1]! + 1
      }
      if (from <= to) result.add(from, to)
    }
    return result
  }

  /** A new set: what is in both. */
  and(other: IntervalSet): IntervalSet {
    return this.minus(this.minus(other))
  }

  or(other: IntervalSet): IntervalSet {
    const result = new IntervalSet(this.runs)
    result.addAll(other)
    return result
  }

  /** The holes below `last` (by default the greatest sequence held). */
  gaps(last: number = this.last): IntervalSet {
    return last < 1 ? new IntervalSet() : new IntervalSet([1, last]).minus(this)
  }

  equals(other: IntervalSet): boolean {
    return this.runs.length === other.runs.length && this.runs.every((n, i) => n === other.runs[i])
  }

  /** The flat array [a0, b0, a1, b1, …], for the wire and for disk. A copy. */
  toRuns(): number[] {
    return this.runs.slice()
  }

  /** Each run as [a, b]. */
  *[Symbol.iterator](): IterableIterator<readonly [number, number]> {
    for (let i = 0; i < this.runs.length; i += 2) yield [this.runs[i]!, this.runs[i + 1]!]
  }

  /** Index into `runs` of the first run whose end is at or after `sequence`. */
  private runIndex(sequence: number): number {
    let low = 0
    let high = this.runs.length / 2
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.runs[middle * 2 + 1]! < sequence) low = middle + 1
      else high = middle
    }
    return low * 2
  }
}
