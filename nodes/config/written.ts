// What was written, and where: the tree of values given by file, environment and flags, before
// defaults and checks, with the place of every key. Later layers overwrite earlier ones key by key;
// a list is replaced as a whole.

export type Path = readonly (string | number)[]

export type Origin =
  | { readonly kind: 'default' }
  | { readonly kind: 'file'; readonly file: string; readonly line: number; readonly column: number }
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'flag'; readonly flag: string }

export type Tree = Record<string, unknown>

const DEFAULT: Origin = { kind: 'default' }

export class Written {
  /** Without prototypes, so that a key such as `__proto__` is a key like any other. */
  readonly tree: Tree = newTree()
  private readonly origins = new Map<string, Origin>()

  /** Sets one value; what an earlier layer wrote there or beneath is gone. */
  set(path: Path, value: unknown, origin: Origin): void {
    let parent = this.tree
    for (const step of path.slice(0, -1)) {
      parent[step] ??= newTree()
      const next = parent[step]
      // A word where a section belongs stays in place: the check reports it.
      if (!isTree(next)) return
      parent = next
    }
    parent[path.at(-1)!] = value
    const prefix = idOf(path)
    for (const id of this.origins.keys()) if (id.startsWith(prefix)) this.origins.delete(id)
    this.note(path, origin)
  }

  /** Records where a section or a part of a list is written, without setting anything. */
  note(path: Path, origin: Origin): void {
    this.origins.set(idOf(path), origin)
  }

  delete(path: Path): void {
    const parent = this.at(path.slice(0, -1))
    if (isTree(parent)) delete parent[path.at(-1)!]
  }

  at(path: Path): unknown {
    let value: unknown = this.tree
    for (const step of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step))
        return undefined
      value = (value as Tree)[step]
    }
    return value
  }

  /** Where this very value was written. */
  originOf(path: Path): Origin {
    return this.at(path) === undefined ? DEFAULT : this.nearestOrigin(path)
  }

  /** Where it or the nearest thing around it was written: the place to report a missing key. */
  nearestOrigin(path: Path): Origin {
    for (let length = path.length; length > 0; length--) {
      const origin = this.origins.get(idOf(path.slice(0, length)))
      if (origin !== undefined) return origin
    }
    return DEFAULT
  }
}

export function newTree(): Tree {
  return Object.create(null) as Tree
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `publisher.streams["vehicle.motion"].codec`, `aggregator.windows[0].every`. */
export function keyOf(path: Path): string {
  let key = ''
  for (const step of path) {
    if (typeof step === 'number') key += `[${step}]`
    else if (!/^[A-Za-z_$][\w$-]*$/.test(step)) key += `[${JSON.stringify(step)}]`
    else key += key === '' ? step : `.${step}`
  }
  return key
}

export function originText(origin: Origin): string {
  if (origin.kind === 'file') return `${origin.file}:${origin.line}`
  if (origin.kind === 'env') return `env ${origin.name}`
  return origin.kind === 'flag' ? `flag ${origin.flag}` : 'default'
}

/** Ends with a separator no key holds, so that a prefix of the text is a prefix of the path. */
function idOf(path: Path): string {
  return path.map((step) => `${step}\0`).join('')
}
