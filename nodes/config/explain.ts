// `skein config show`: every key with its value as written and where that comes from.
import type { LoadedConfig } from './load.ts'
import { childOf, configJsonSchema, isSection, KNOWN_KEYS, type SchemaNode } from './known-keys.ts'
import { isTree, keyOf, originText, type Origin, type Path, type Written } from './written.ts'

/** What only its owner should read is not printed. */
const SECRET = /(^mesh\.key|\.password|\.token)$/

export interface ExplainedKey {
  readonly key: string
  readonly value: unknown
  readonly origin: Origin
  /** `default`, `skein.yaml:12`, `env SKEIN_SEEDS`, `flag --vehicles`. */
  readonly from: string
  /** The variable that would override it, where there is one. */
  readonly env?: string
}

/** In the order of the sample file. Keys without value or default are left out. */
export function explainConfig({ written }: Pick<LoadedConfig, 'written'>): ExplainedKey[] {
  return explain(configJsonSchema, [], written)
}

function explain(node: SchemaNode, path: Path, written: Written): ExplainedKey[] {
  const value = written.at(path)
  if (isSection(node)) {
    const steps = new Set([...Object.keys(node.properties ?? {}), ...keysOf(value)])
    if (node.properties !== undefined || steps.size > 0) {
      // A section that is not written at all may have a default of its own, as a whole.
      const whole = value === undefined ? node : { ...node, default: undefined }
      return [...steps].flatMap((step) => explainChild(whole, [...path, step], written))
    }
  }
  if (
    Array.isArray(value) &&
    value.length > 0 &&
    node.items !== undefined &&
    isSection(node.items)
  ) {
    return value.flatMap((_, index) => explainChild(node, [...path, index], written))
  }
  return leaf(path, value ?? node.default, written)
}

function explainChild(node: SchemaNode, path: Path, written: Written): ExplainedKey[] {
  const step = path.at(-1)!
  const child = childOf(node, step)
  if (child === undefined) return []
  const given = isTree(node.default) ? node.default[step] : undefined
  return explain(given === undefined ? child : { ...child, default: given }, path, written)
}

function leaf(path: Path, value: unknown, written: Written): ExplainedKey[] {
  if (value === undefined) return []
  const key = keyOf(path)
  const origin = written.originOf(path)
  const env = KNOWN_KEYS.find((known) => known.key === key)?.env
  const shown = SECRET.test(key) ? '(secret)' : value
  const row = { key, value: shown, origin, from: originText(origin) }
  return [env === undefined ? row : { ...row, env }]
}

function keysOf(value: unknown): string[] {
  return isTree(value) ? Object.keys(value) : []
}
