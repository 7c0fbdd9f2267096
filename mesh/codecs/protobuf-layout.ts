// The Protobuf message that a schema stands for: which number and which type each of its fields has
// (docs/wire-format.md, "Protobuf"). Derived from the schema alone, so every reader of the schema knows it.
import type { Schema } from '../schema.ts'

/** As in a .proto file; `Value` is a message of ours, for fields of several types. */
export type FieldType = 'double' | 'sint64' | 'bool' | 'string' | 'Value'

export interface LayoutField {
  readonly name: string
  /** `Value` takes all values; a value that does not fit the others travels with the unnamed ones. */
  readonly type: FieldType
  /** Number and wire type, as they stand before each value. */
  readonly tag: number
}

export interface Layout {
  readonly byName: ReadonlyMap<string, LayoutField>
  /** By number, from FIRST_NUMBER. */
  readonly fields: readonly LayoutField[]
}

export const VARINT = 0
export const FIXED64 = 1
export const DELIMITED = 2

/** 1 and 2 are the time and the map of other fields. */
export const FIRST_NUMBER = 3

const WIRE_TYPES: Readonly<Record<FieldType, number>> = {
  double: FIXED64,
  sint64: VARINT,
  bool: VARINT,
  string: DELIMITED,
  Value: DELIMITED,
}

const FIELD_TYPES: Readonly<Record<string, FieldType>> = {
  number: 'double',
  integer: 'sint64',
  boolean: 'bool',
  string: 'string',
}

export const tagOf = (number: number, wireType: number): number => (number << 3) | wireType

/**
 * Numbers follow the canonical order of the names. A schema of SCHEMA_BYTES_MAX has less than 12,000
 * fields: none gets to 19,000, where numbers begin that Protobuf keeps for itself.
 */
export function layoutOf({ fields, json }: Schema): Layout {
  const properties = new Map(
    Object.entries(json['properties'] as Record<string, { type: string | string[] }>),
  )
  const numbered = fields.map((name, index): LayoutField => {
    const type = fieldType(new Set([properties.get(name)!.type].flat()))
    return { name, type, tag: tagOf(FIRST_NUMBER + index, WIRE_TYPES[type]) }
  })
  return { fields: numbered, byName: new Map(numbered.map((field) => [field.name, field])) }
}

function fieldType(types: Set<string>): FieldType {
  // Every integer is a number.
  if (types.has('number')) types.delete('integer')
  const [type] = types
  return types.size === 1 ? FIELD_TYPES[type!]! : 'Value'
}
