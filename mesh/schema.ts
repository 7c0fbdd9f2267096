// Content-addressed schemas: a schema's id is the first 8 bytes of SHA-256 of its canonical JSON, so
// two publishers that mean the same thing agree without a registry, and a schema can be checked by
// whoever receives it. Publishers validate samples; stores and readers only use the id and the names.
// A schema travels as a frame of its own kind (docs/wire-format.md, "Schemas").
import { createHash } from 'node:crypto'
import { Ajv, type ValidateFunction } from 'ajv'
import { MeshError } from './errors.ts'
import { encodeFrame, type Frame } from './frame.ts'
import type { Epoch, SchemaId } from './names.ts'
import type { Fields, Sample, Value } from './sample.ts'

/** A JSON Schema as parsed JSON; compileSchema checks which part of the language it may use. */
export type JsonSchema = Readonly<Record<string, unknown>>

export interface Schema {
  readonly id: SchemaId
  /** A copy of what was compiled: changing the original does not change the schema. */
  readonly json: JsonSchema
  /** Names of the properties, sorted by code unit: the columnar codec counts on this order. */
  readonly fields: readonly string[]
  readonly inferred: boolean
  /**
   * Why these fields do not fit, naming the field, what was wrong and what is wanted; undefined when
   * they do. A declared schema lets fields pass that it does not name, an inferred one does not, so
   * that its publisher infers anew. Cost: one pass over the fields, then ajv when declared.
   */
  validate(fields: Fields): string | undefined
}

/** Longest canonical JSON: a schema has to fit in a frame with room to spare (256 KiB). */
export const SCHEMA_BYTES_MAX = 1 << 18
export const SCHEMA_STREAM = 'skein.schema'
/** Schema frames have no life to belong to: the same schema is the same frame whoever sends it. */
const SCHEMA_EPOCH = '0000000000000000' as Epoch

const NUMBER = 1
const INTEGER = 2
const STRING = 4
const BOOLEAN = 8
const TYPE_BITS: Readonly<Record<string, number>> = {
  boolean: BOOLEAN,
  integer: INTEGER,
  number: NUMBER | INTEGER,
  string: STRING,
}

/** No `$ref`, no nesting, and no `pattern`: a schema may come from another peer, and a regular
 * expression of a stranger's choice can run for minutes. */
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

/**
 * Checks and compiles a schema: a flat object whose properties are numbers, integers, strings or
 * booleans (or a list of those), with the usual limits, and any keyword that begins with `x-`.
 * @throws MeshError MESH_SCHEMA_INVALID saying what and where.
 */
export function compileSchema(json: JsonSchema): Schema {
  const schema = new CompiledSchema(canonicalJson(json))
  schema.compile()
  return schema
}

/**
 * The schema of these samples, marked `x-inferred`: the union of what they and `previous` hold.
 * Returns `previous` itself when it already covers them.
 * @throws MeshError MESH_SCHEMA_INVALID when the result would exceed SCHEMA_BYTES_MAX.
 * @throws MeshError MESH_SAMPLE_INVALID when a value is no number, string or boolean.
 */
export function inferSchema(samples: Iterable<Sample>, previous?: Schema): Schema {
  const types = previous === undefined ? new Map<string, number>() : fieldTypes(previous.json)
  let isNew = previous === undefined
  for (const { fields } of samples) {
    for (const [name, value] of Object.entries(fields)) {
      const had = types.get(name) ?? 0
      const has = valueBits(value)
      if (has === 0) {
        throw new MeshError('MESH_SAMPLE_INVALID', `field ${quote(name)} is ${kindOf(value)}`)
      }
      if ((had & has) !== 0) continue
      // An inferred number is any number: that the first ten were whole says little of the next.
      types.set(name, had | (typeof value === 'number' ? NUMBER | INTEGER : has))
      isNew = true
    }
  }
  if (!isNew && previous !== undefined) return previous
  const annotations = (previous?.json['properties'] ?? {}) as Record<string, object>
  const properties = [...types].map(([name, bits]): [string, object] => [
    name,
    {
      ...annotationsOf(Object.hasOwn(annotations, name) ? annotations[name] : {}),
      type: typeOf(bits),
    },
  ])
  const inferred = {
    type: 'object',
    'x-inferred': true,
    properties: Object.fromEntries(properties),
  }
  // Not compiled: it has nothing to check but types, and ajv would take milliseconds.
  return new CompiledSchema(canonicalJson(inferred))
}

/** The frame a schema travels in; the same bytes whoever makes it. */
export function schemaFrame(schema: Schema): Buffer {
  return encodeFrame(
    {
      kind: 'schema',
      codec: 'json',
      stream: SCHEMA_STREAM,
      source: schema.id,
      epoch: SCHEMA_EPOCH,
      sequence: 1,
      firstUs: 0,
      lastUs: 0,
      count: 0,
      schemaId: schema.id,
    },
    Buffer.from(canonicalJson(schema.json), 'utf8'),
  )
}

/**
 * The schema in a frame from another peer or from disk. Nothing of it is compiled to code before
 * the first `validate`, which readers and stores never call.
 * @throws MeshError MESH_SCHEMA_INVALID when the id is not the hash of the body, or the body not a schema.
 */
export function schemaFromFrame(frame: Frame): Schema {
  if (frame.kind !== 'schema' || frame.codec !== 'json') {
    throw invalid(`a ${frame.kind} frame with codec ${frame.codec} holds no schema`)
  }
  const id = hashId(frame.body)
  if (id !== frame.schemaId || id !== frame.source) {
    throw invalid(`schema ${frame.schemaId} of ${frame.source} hashes to ${id}`)
  }
  const text = frame.body.toString('utf8')
  if (canonicalJson(parseJson(text)) !== text) throw invalid(`schema ${id} is not canonical JSON`)
  return new CompiledSchema(text)
}

/**
 * JSON with object keys sorted by code unit and no white space: one text for one meaning.
 * @throws MeshError MESH_SCHEMA_INVALID for what JSON cannot hold.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => `${canonicalJson(key)}:${canonicalJson(member)}`)
    return `{${members.join(',')}}`
  }
  const plain = value === null || typeof value === 'boolean' || Number.isFinite(value)
  if (plain || (typeof value === 'string' && value.isWellFormed())) return JSON.stringify(value)
  throw invalid(`${quote(value)} has no place in JSON`)
}

class CompiledSchema implements Schema {
  readonly id: SchemaId
  readonly json: JsonSchema
  readonly fields: readonly string[]
  readonly inferred: boolean
  private readonly types: ReadonlyMap<string, number>
  private check: ValidateFunction | undefined

  constructor(canonical: string) {
    const bytes = Buffer.from(canonical, 'utf8')
    if (bytes.length > SCHEMA_BYTES_MAX) {
      throw invalid(`schema of ${bytes.length} bytes exceeds ${SCHEMA_BYTES_MAX}`)
    }
    this.json = parseJson(canonical)
    checkShape(this.json)
    this.id = hashId(bytes)
    this.types = fieldTypes(this.json)
    this.fields = [...this.types.keys()].sort()
    this.inferred = this.json['x-inferred'] === true
  }

  validate(fields: Fields): string | undefined {
    // Not Object.entries: this runs for every sample published, and for-in allocates nothing.
    for (const name in fields) {
      const fault = this.valueFault(name, fields[name]!)
      if (fault !== undefined) return fault
    }
    if (this.inferred) return undefined
    const check = this.compile()
    if (check(fields)) return undefined
    const { instancePath, message, params } = check.errors![0]!
    const name = instancePath.slice(1).replaceAll('~1', '/').replaceAll('~0', '~')
    if (instancePath === '') return `fields: ${message} (${Object.values(params).join(', ')})`
    return `field ${quote(name)} is ${quote(fields[name])}: ${message}`
  }

  /** ajv turns the schema into code here; about a millisecond, once. */
  compile(): ValidateFunction {
    if (this.check !== undefined) return this.check
    try {
      const ajv = new Ajv({
        strict: true,
        // Without these two, NaN and Infinity are no numbers, and `constructor` is always present.
        strictNumbers: false,
        ownProperties: true,
        allowUnionTypes: true,
        // A required property need not be described.
        strictRequired: false,
        addUsedSchema: false,
        logger: false,
      })
      const { $schema: _dialect, $id: _name, ...keywords } = this.json
      ajv.addVocabulary(annotationKeywords(this.json))
      this.check = ajv.compile(keywords)
    } catch (cause) {
      throw invalid(cause instanceof Error ? cause.message : String(cause), cause)
    }
    return this.check
  }

  private valueFault(name: string, value: Value): string | undefined {
    const has = valueBits(value)
    if (has === 0) {
      return `field ${quote(name)} is ${kindOf(value)}, wanted is a number, a string or a boolean`
    }
    if (has === STRING && !(value as string).isWellFormed()) {
      return `field ${quote(name)} is not well-formed Unicode: it has half of a surrogate pair`
    }
    const wanted = this.types.get(name)
    if (wanted === undefined) {
      if (!name.isWellFormed()) return `field name ${quote(name)} is not well-formed Unicode`
      return this.inferred ? `field ${quote(name)} is not in the inferred schema` : undefined
    }
    if ((wanted & has) !== 0) return undefined
    return `field ${quote(name)} is ${quote(value)}, wanted is ${[typeOf(wanted)].flat().join(' or ')}`
  }
}

function checkShape(json: JsonSchema): void {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw invalid('a schema is a JSON object')
  }
  checkKeywords('schema', json, TOP_KEYWORDS)
  if (json['type'] !== 'object')
    throw invalid(`schema: type is ${quote(json['type'])}, wanted is "object"`)
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

function fieldTypes(json: JsonSchema): Map<string, number> {
  const properties = json['properties'] as Readonly<Record<string, { type: string | string[] }>>
  const types = Object.entries(properties).map(([name, { type }]): [string, number] => [
    name,
    [type].flat().reduce((bits, one) => bits | TYPE_BITS[one]!, 0),
  ])
  return new Map(types)
}

function annotationKeywords(json: JsonSchema): string[] {
  const parts = [json, ...Object.values(json['properties'] as Record<string, object>)]
  return [...new Set(parts.flatMap((part) => Object.keys(part)))].filter((key) =>
    key.startsWith('x-'),
  )
}

function annotationsOf(property: object | undefined): object {
  return Object.fromEntries(
    Object.entries(property ?? {}).filter(([key]) => key.startsWith('x-') || key === 'description'),
  )
}

function valueBits(value: unknown): number {
  if (typeof value === 'number') return value % 1 === 0 ? NUMBER | INTEGER : NUMBER
  if (typeof value === 'string') return STRING
  return typeof value === 'boolean' ? BOOLEAN : 0
}

function typeOf(bits: number): string | string[] {
  const types = Object.keys(TYPE_BITS).filter((type) =>
    type === 'integer'
      ? (bits & (NUMBER | INTEGER)) === INTEGER
      : (bits & TYPE_BITS[type]! & ~INTEGER) !== 0,
  )
  return types.length === 1 ? types[0]! : types
}

function hashId(bytes: Uint8Array): SchemaId {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16) as SchemaId
}

function parseJson(text: string): JsonSchema {
  try {
    return JSON.parse(text) as JsonSchema
  } catch (cause) {
    throw invalid('schema is not JSON', cause)
  }
}

function isObject(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : typeof value
}

function quote(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'boolean') return JSON.stringify(value)
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  return Array.isArray(value) ? `[${value.map(quote).join(',')}]` : kindOf(value)
}

function invalid(message: string, cause?: unknown): MeshError {
  return new MeshError('MESH_SCHEMA_INVALID', message, cause === undefined ? {} : { cause })
}
