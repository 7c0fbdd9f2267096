// The keys skein.yaml may have, read off the JSON Schema of its shape: for suggestions, for the names
// of environment variables, and to walk a configuration key by key.
import { z } from 'zod'
import { settingsSchema } from './settings.ts'
import { keyOf, type Path } from './written.ts'

/** The parts of JSON Schema that zod writes for our shape. */
export interface SchemaNode {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly additionalProperties?: SchemaNode | false
  readonly items?: SchemaNode
  readonly anyOf?: readonly SchemaNode[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly default?: unknown
}

/** A key with a value of its own, as opposed to a section. */
export interface KnownKey {
  readonly path: readonly string[]
  readonly key: string
  readonly schema: SchemaNode
  /** Its variable: SKEIN_, then the path in upper case, `_` between steps and before inner capitals. */
  readonly env: string
}

/** JSON Schema of skein.yaml as it is written; editors complete and check with it. */
export const configJsonSchema = z.toJSONSchema(settingsSchema, { io: 'input' }) as SchemaNode

export const KNOWN_KEYS: readonly KnownKey[] = leavesOf(configJsonSchema, [])

/** The schema at a path; undefined when the path leads nowhere. */
export function schemaAt(path: Path): SchemaNode | undefined {
  let node: SchemaNode | undefined = configJsonSchema
  for (const step of path) node = node === undefined ? undefined : childOf(node, step)
  return node
}

export function childOf(node: SchemaNode, step: string | number): SchemaNode | undefined {
  if (typeof step === 'number') return node.items
  const { properties } = node
  if (properties !== undefined && Object.hasOwn(properties, step)) return properties[step]
  return node.additionalProperties === false ? undefined : node.additionalProperties
}

/** A section lists its keys, or holds entries (one per stream) that do. */
export function isSection(node: SchemaNode): boolean {
  const entries = node.additionalProperties
  return node.properties !== undefined || (entries !== false && entries?.properties !== undefined)
}

/** The JSON types a value may have here. */
export function typesOf(node: SchemaNode): ReadonlySet<string> {
  const parts = [node, ...(node.anyOf ?? [])]
  return new Set(parts.flatMap(({ type }) => type ?? []))
}

function leavesOf(node: SchemaNode, path: readonly string[]): KnownKey[] {
  const { properties } = node
  if (properties === undefined) return [{ path, key: keyOf(path), schema: node, env: envOf(path) }]
  return Object.entries(properties).flatMap(([name, child]) => leavesOf(child, [...path, name]))
}

function envOf(path: readonly string[]): string {
  const words = path.map((step) => step.replaceAll(/[A-Z]/g, '_$&').toUpperCase())
  return ['SKEIN', ...words].join('_')
}
