// The order in which people look for peers: storage-2 before storage-10, those without a name last.

interface Named {
  readonly name?: string | undefined
}

const { compare } = new Intl.Collator('en', { numeric: true })

export function byName(a: Named, b: Named): number {
  return compare(a.name ?? '\uffff', b.name ?? '\uffff')
}
