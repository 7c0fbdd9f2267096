// A value given as text, by a variable or a flag, where YAML's own types are not there to tell a
// number from a word: the key's schema decides.
import { parse } from 'yaml'
import { typesOf, type SchemaNode } from './known-keys.ts'

/**
 * A text that cannot be what the key wants is returned as it is, for the check to report.
 * Lists of words are separated by commas; lists and maps of more are YAML or JSON (`[{name: …}]`).
 */
export function valueOfText(text: string, schema: SchemaNode): unknown {
  const types = typesOf(schema)
  if (types.has('array') && typesOf(schema.items ?? {}).has('string') && !text.startsWith('[')) {
    return text.split(',').map((word) => word.trim())
  }
  if (types.has('array') || (types.has('object') && /^\s*\{/.test(text))) return yamlOr(text)
  if (types.has('object') && !types.has('string')) return yamlOr(text)
  if (types.has('boolean') && (text === 'true' || text === 'false')) return text === 'true'
  const isNumber = types.has('number') || types.has('integer')
  if (isNumber && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text)
  return text
}

function yamlOr(text: string): unknown {
  try {
    return parse(text) as unknown
  } catch {
    return text
  }
}
