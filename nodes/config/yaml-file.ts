// skein.yaml into a tree that remembers the line and column of every key. JSON is YAML, so a JSON
// file works too.
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type Node,
  type Pair,
} from 'yaml'
import type { Problem } from './problems.ts'
import type { Origin, Path, Written } from './written.ts'

/** Adds what `text` says to `written`; `file` is the name that problems and origins show. */
export function readYaml(text: string, file: string, written: Written): Problem[] {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false })
  const originAt = (offset: number): Origin => {
    const { line, col } = lineCounter.linePos(offset)
    return { kind: 'file', file, line, column: col }
  }
  const problems = document.errors.map(({ pos, message }) => ({
    origin: originAt(pos[0]),
    message,
  }))
  if (problems.length > 0) return problems
  const root = document.contents
  // A file of nothing but comments.
  if (root === null || (isScalar(root) && root.value === null)) return []
  if (!isMap(root)) {
    return [{ origin: originAt(root.range?.[0] ?? 0), message: 'expected keys and values' }]
  }
  new Reader(document, originAt, written).section(root.items, [])
  return []
}

class Reader {
  private readonly document: Document
  private readonly originAt: (offset: number) => Origin
  private readonly written: Written

  constructor(document: Document, originAt: (offset: number) => Origin, written: Written) {
    this.document = document
    this.originAt = originAt
    this.written = written
  }

  section(pairs: readonly Pair[], path: Path): void {
    for (const { key, value } of pairs as readonly Pair<Node, Node | null>[]) {
      const inner = [...path, String(isScalar(key) ? key.value : key.toJS(this.document))]
      const origin = this.originAt(key.range?.[0] ?? 0)
      if (isMap(value) && value.items.length > 0) {
        this.written.note(inner, origin)
        this.section(value.items, inner)
      } else {
        const plain: unknown = value?.toJS(this.document)
        // `storage:` above keys that are all commented out says nothing.
        if (plain === null || plain === undefined) continue
        this.written.set(inner, plain, origin)
        this.notePlaces(value, inner)
      }
    }
  }

  /** Places inside a list, where the value was already set as a whole. */
  private notePlaces(node: unknown, path: Path): void {
    if (isAlias(node)) return
    if (isSeq<Node>(node)) {
      for (const [index, item] of node.items.entries()) {
        this.written.note([...path, index], this.originAt(item.range?.[0] ?? 0))
        this.notePlaces(item, [...path, index])
      }
    }
    if (isMap<Node, Node>(node)) {
      for (const { key, value } of node.items) {
        const inner = [...path, String(isScalar(key) ? key.value : key)]
        this.written.note(inner, this.originAt(key.range?.[0] ?? 0))
        this.notePlaces(value, inner)
      }
    }
  }
}
