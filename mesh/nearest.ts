// "Did you mean …?" for names that people type: config keys, streams, columns, units.

/**
 * The name nearest to `typed` when it is near enough to be a slip: at most a third of its letters
 * wrong (at least 2), and not all. Cost: one distance per name, so for thousands of names, not millions.
 */
export function nearestName(typed: string, names: Iterable<string>): string | undefined {
  let nearest: string | undefined
  let distance = Math.max(2, Math.floor(typed.length / 3)) + 1
  for (const name of names) {
    if (Math.abs(name.length - typed.length) >= distance) continue
    const edits = editDistance(typed.toLowerCase(), name.toLowerCase())
    if (edits < distance && edits < Math.max(typed.length, name.length)) {
      nearest = name
      distance = edits
    }
  }
  return nearest
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, replaced)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwap) cost = Math.min(cost, before[j - 2]! + 1)
      row.push(cost)
    }
    before = last
    last = row
  }
  return last[b.length]!
}
