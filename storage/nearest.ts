// "Did you mean …?" for names that people type: fields of a query, streams, config keys.

/**
 * The name closest to `wanted` by edit distance, when it is close enough to be a slip: at most a
 * third of its length, at least 2. Cost: one distance per name, so for hundreds of names, not millions.
 */
export function nearestName(wanted: string, names: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1
  for (const name of names) {
    if (Math.abs(name.length - wanted.length) >= bestDistance) continue
    const distance = editDistance(wanted.toLowerCase(), name.toLowerCase())
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** ` Did you mean "x"?`, or nothing: ready to be put after a message. */
export function didYouMean(wanted: string, names: Iterable<string>): string {
  const nearest = nearestName(wanted, names)
  return nearest === undefined ? '' : ` Did you mean ${JSON.stringify(nearest)}?`
}

/** Levenshtein's distance in one row of memory. */
export function editDistance(a: string, b: string): number {
  const row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    let diagonal = row[0]!
    row[0] = i
    for (let j = 1; j <= b.length; j++) {
      const above = row[j]!
      const replaced = diagonal + (a[i - 1] === b[j - 1] ? 0 : 1)
      row[j] = Math.min(replaced, above + 1, row[j - 1]! + 1)
      diagonal = above
    }
  }
  return row[b.length]!
}
