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
import { NumberRanges } from './schema-ranges.ts'
import {
  annotationKeywords,
  annotationsOf,
  canonicalJson,
  checkShape,
  fieldTypes,
  INTEGER,
  invalid,
  type JsonSchema,
  kindOf,
  NUMBER,
  parseJson,
  quote,
  STRING,
  typeOf,
  valueBits,
} from './schema-shape.ts'

export { canonicalJson } from './schema-shape.ts'
export type { JsonSchema } from './schema-shape.ts'

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

class CompiledSchema implements Schema {
  readonly id: SchemaId
  readonly json: JsonSchema
  readonly fields: readonly string[]
  readonly inferred: boolean
  private readonly types: ReadonlyMap<string, number>
  private readonly ranges: NumberRanges
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
    this.ranges = new NumberRanges(this.json)
  }

  validate(fields: Fields): string | undefined {
    if (this.ranges.accepts(fields)) return undefined
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

function hashId(bytes: Uint8Array): SchemaId {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16) as SchemaId
}
