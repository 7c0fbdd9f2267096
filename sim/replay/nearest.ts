// "Did you mean …?" for names a user typed: mapping keys, units, columns, codecs.

/** `, did you mean "x"?` for the nearest known name within a third of its length, else ''. */
export function suggestion(typed: string, known: readonly string[]): string {
  let nearest: string | undefined
  // Two slips in a short name; a third of a long one is still recognisable.
  let distance = Math.max(2, Math.floor(typed.length / 3)) + 1
  for (const name of known) {
    const edits = editDistance(typed.toLowerCase(), name.toLowerCase())
    // A name that is wrong in every letter is no suggestion.
    if (edits < distance && edits < Math.max(typed.length, name.length)) {
      nearest = name
      distance = edits
    }
  }
  return nearest === undefined ? '' : `, did you mean ${JSON.stringify(nearest)}?`
}

/** Levenshtein distance where swapping two neighbours is one edit, the commonest slip of typing. */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, index) => index)]
  for (let i = 1; i <= a.length; i++) {
    const above = rows[i - 1]!
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const bySwap = swapped ? rows[i - 2]![j - 2]! + 1 : Infinity
      row.push(Math.min(replaced, bySwap, above[j]! + 1, row[j - 1]! + 1))
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}
