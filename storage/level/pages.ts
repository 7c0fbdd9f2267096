// Cuts long sets of sequences into stretches that are looked up in one go.
import type { IntervalSet } from '../../mesh/index.ts'

/** Names looked up in the index together: about 2 MB of locations. */
const PAGE_FRAMES = 16_384

export interface Page {
  readonly first: number
  readonly last: number
  readonly size: number
}

/** Cuts a set into stretches of at most PAGE_FRAMES sequences. */
export function* pagesOf(set: IntervalSet): IterableIterator<Page> {
  let first = 0
  let last = 0
  let size = 0
  for (const [a, b] of set) {
    for (let from = a; from <= b;) {
      const to = Math.min(b, from + PAGE_FRAMES - size - 1)
      if (size === 0) first = from
      last = to
      size += to - from + 1
      from = to + 1
      if (size < PAGE_FRAMES) continue
      yield { first, last, size }
      size = 0
    }
  }
  if (size > 0) yield { first, last, size }
}

/** The sequences of the set in [from, to], one by one. */
export function* eachOf(set: IntervalSet, from: number, to: number): IterableIterator<number> {
  for (const [a, b] of set) {
    for (let n = Math.max(a, from); n <= Math.min(b, to); n++) yield n
  }
}
