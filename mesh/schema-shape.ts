// Which part of JSON Schema a schema may use, what it says of each field, and the one text it has.
// schema.ts is the only one to import this.
import { MeshError } from './errors.ts'

/** A JSON Schema as parsed JSON; compileSchema checks which part of the language it may use. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** Types as bits, for fields and for values: a value fits a field when they share one. */
export const NUMBER = 1
export const INTEGER = 2
export const STRING = 4
const BOOLEAN = 8
const TYPE_BITS: Readonly<Record<string, number>> = {
  boolean: BOOLEAN,
  integer: INTEGER,
  number: NUMBER | INTEGER,
  string: STRING,
}

/**
 * No `$ref`, no nesting, and no `pattern`: a schema may come from another peer, and a regular
 * expression of a stranger's choice can run for minutes.
 */
const TOP_KEYWORDS = new Set([
  'type',
  'properties',
  'required',
  'additionalProperties',
  '$schema',
  '$id',
  '$comment',
  'title',
  'description',
])
const FIELD_KEYWORDS = new Set([
  'type',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'enum',
  'const',
  '$comment',
  'title',
  'description',
  'default',
  'examples',
])

/** Annotations may nest; a stranger's schema must not exhaust the stack. */
const JSON_DEPTH_MAX = 32

/**
 * JSON with object keys sorted by code unit and no white space: one text for one meaning.
 * @throws MeshError MESH_SCHEMA_INVALID for what JSON cannot hold.
 */
export function canonicalJson(value: unknown, depth = 0): string {
  if (depth > JSON_DEPTH_MAX) throw invalid(`nested deeper than ${JSON_DEPTH_MAX}`)
  const inner = (member: unknown): string => canonicalJson(member, depth + 1)
  if (Array.isArray(value)) return `[${value.map(inner).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => `${inner(key)}:${inner(member)}`)
    return `{${members.join(',')}}`
  }
  const plain = value === null || typeof value === 'boolean' || Number.isFinite(value)
  if (plain || (typeof value === 'string' && value.isWellFormed())) return JSON.stringify(value)
  throw invalid(`${quote(value)} has no place in JSON`)
}

/** @throws MeshError MESH_SCHEMA_INVALID unless a flat object of plain fields, saying what and where. */
export function checkShape(json: JsonSchema): void {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw invalid('a schema is a JSON object')
  }
  checkKeywords('schema', json, TOP_KEYWORDS)
  if (json['type'] !== 'object') {
    throw invalid(`schema: type is ${quote(json['type'])}, wanted is "object"`)
  }
  const { properties, additionalProperties = true } = json
  if (!isObject(properties)) throw invalid('schema: properties is missing or not an object')
  if (typeof additionalProperties !== 'boolean') {
    throw invalid('schema: additionalProperties must be true or false')
  }
  for (const [name, property] of Object.entries(properties)) {
    const where = `property ${quote(name)}`
    if (!isObject(property)) throw invalid(`${where}: is not an object`)
    checkKeywords(where, property, FIELD_KEYWORDS)
    const types = [property['type']].flat()
    const known = types.every((type) => typeof type === 'string' && Object.hasOwn(TYPE_BITS, type))
    if (types.length === 0 || !known) {
      throw invalid(
        `${where}: type is ${quote(property['type'])}, wanted is number, integer, string, boolean or a list of those`,
      )
    }
  }
}

function checkKeywords(where: string, json: JsonSchema, allowed: ReadonlySet<string>): void {
  for (const keyword of Object.keys(json)) {
    if (!allowed.has(keyword) && !keyword.startsWith('x-')) {
      throw invalid(`${where}: keyword ${quote(keyword)} is not supported`)
    }
  }
}

export function fieldTypes(json: JsonSchema): Map<string, number> {
  const properties = json['properties'] as Readonly<Record<string, { type: string | string[] }>>
  const types = Object.entries(properties).map(([name, { type }]): [string, number] => [
    name,
    [type].flat().reduce((bits, one) => bits | TYPE_BITS[one]!, 0),
  ])
  return new Map(types)
}

export function annotationKeywords(json: JsonSchema): string[] {
  const parts = [json, ...Object.values(json['properties'] as Record<string, object>)]
  return [...new Set(parts.flatMap((part) => Object.keys(part)))].filter((key) =>
    key.startsWith('x-'),
  )
}

/** What of a property stays true when its type is widened. */
export function annotationsOf(property: object | undefined): object {
  return Object.fromEntries(
    Object.entries(property ?? {}).filter(([key]) => key.startsWith('x-') || key === 'description'),
  )
}

/** 0 for what is no value of a field. A whole number is both a number and an integer. */
export function valueBits(value: unknown): number {
  if (typeof value === 'number') return value % 1 === 0 ? NUMBER | INTEGER : NUMBER
  if (typeof value === 'string') return STRING
  return typeof value === 'boolean' ? BOOLEAN : 0
}

/** What to write behind `type`: a name, or a list of them. */
export function typeOf(bits: number): string | string[] {
  const types = Object.keys(TYPE_BITS).filter((type) =>
    type === 'integer'
      ? (bits & (NUMBER | INTEGER)) === INTEGER
      : (bits & TYPE_BITS[type]! & ~INTEGER) !== 0,
  )
  return types.length === 1 ? types[0]! : types
}

export function parseJson(text: string): JsonSchema {
  try {
    return JSON.parse(text) as JsonSchema
  } catch (cause) {
    throw invalid('schema is not JSON', cause)
  }
}

function isObject(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : typeof value
}

export function quote(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'boolean') return JSON.stringify(value)
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  return Array.isArray(value) ? `[${value.map(quote).join(',')}]` : kindOf(value)
}

export function invalid(message: string, cause?: unknown): MeshError {
  return new MeshError('MESH_SCHEMA_INVALID', message, cause === undefined ? {} : { cause })
}
