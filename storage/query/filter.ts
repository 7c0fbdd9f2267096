// Which samples are rows of an answer, and which of their fields are shown.
import type { Fields, Value } from '../../mesh/index.ts'
import type { Condition } from './query.ts'

/**
 * A function from the fields of a sample to those of its row; undefined when it is no row: a
 * condition fails, or none of the wanted fields is there.
 */
export function fieldFilter(query: {
  readonly where: readonly Condition[]
  readonly fields?: readonly string[] | undefined
}): (fields: Fields) => Fields | undefined {
  const { where } = query
  const wanted = query.fields
  return (fields) => {
    for (const condition of where) if (!holds(condition, fields)) return undefined
    if (wanted === undefined) return fields
    const shown: [string, Value][] = []
    for (const name of wanted) if (Object.hasOwn(fields, name)) shown.push([name, fields[name]!])
    return shown.length === 0 ? undefined : Object.fromEntries(shown)
  }
}

/** Numbers by value, text by code unit; values of two types are never ordered and never equal. */
export function holds({ field, op, value }: Condition, fields: Fields): boolean {
  if (!Object.hasOwn(fields, field)) return false
  const actual = fields[field]!
  if (op === '=') return actual === value
  if (op === '!=') return actual !== value
  if (typeof actual !== typeof value || typeof actual === 'boolean') return false
  if (op === '<') return actual < value
  if (op === '<=') return actual <= value
  return op === '>' ? actual > value : actual >= value
}
