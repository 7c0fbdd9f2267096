// zod's issues into sentences with a place: what the key is, what was expected, what was meant.
import { nearestName } from '../../mesh/index.ts'
import type { z } from 'zod'
import { childOf, KNOWN_KEYS, schemaAt } from './known-keys.ts'
import type { Problem } from './problems.ts'
import { settingsSchema, type Settings } from './settings.ts'
import { keyOf, type Path, type Written } from './written.ts'

/** The settings with their defaults, or everything that is wrong with what was written. */
export function checkSettings(written: Written): Settings | Problem[] {
  const result = settingsSchema.safeParse(written.tree)
  return result.success
    ? result.data
    : result.error.issues.flatMap((issue) => describe(issue, written))
}

function describe(issue: z.core.$ZodIssue, written: Written): Problem[] {
  const path = issue.path as Path
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      origin: written.nearestOrigin([...path, key]),
      message: unknownKey(path, key),
    }))
  }
  const value = written.at(path)
  const predicate =
    value === undefined && issue.code !== 'custom' ? 'is missing' : fault(issue, value)
  const message = `${keyOf(path)} ${predicate}`
  return [{ origin: written.nearestOrigin(path), message }]
}

function fault(issue: z.core.$ZodIssue, value: unknown): string {
  const is = `is ${show(value)}`
  switch (issue.code) {
    case 'invalid_type':
      return `${is}; expected ${typeWord(issue.expected)}`
    case 'invalid_value': {
      if (!issue.message.startsWith('Invalid')) return `${is}; it ${issue.message}`
      const words = issue.values.map(String)
      const near = typeof value === 'string' ? nearestName(value, words) : undefined
      const hint = near === undefined ? '' : `; did you mean ${near}?`
      return `${is}; expected ${words.join(', ')}${hint}`
    }
    case 'too_small':
      if (issue.origin === 'array' || issue.origin === 'string') return 'is empty'
      return `${is}; it must be ${issue.inclusive === true ? 'at least' : 'more than'} ${issue.minimum}`
    case 'too_big':
      return `${is}; it must be at most ${issue.maximum}`
    case 'invalid_key':
      return issue.issues.map(({ message }) => message).join(', ')
    case 'invalid_union':
    case 'invalid_format':
      return `${is}; it ${issue.message}`
    case 'custom':
    case 'invalid_element':
    case 'not_multiple_of':
    case 'unrecognized_keys':
      break
  }
  return ownMessage(issue.message, value)
}

/** A message of ours is a predicate already; "must be …" gains by saying what the value is. */
function ownMessage(message: string, value: unknown): string {
  const isPlain = typeof value !== 'object' && value !== undefined && message.startsWith('must ')
  return isPlain ? `is ${show(value)}; it ${message}` : message
}

/** The nearest key beside it, or, where a whole section was forgotten, the key of that name elsewhere. */
function unknownKey(path: Path, key: string): string {
  const section = schemaAt(path)
  const near = nearestName(key, Object.keys(section?.properties ?? {}))
  const meant = near === undefined ? elsewhere(key) : keyOf([...path, near])
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`
  return `${keyOf([...path, key])} is not known${hint}`
}

function elsewhere(key: string): string | undefined {
  const known = KNOWN_KEYS.find((each) => each.path.at(-1) === key || each.key === key)
  if (known !== undefined) return known.key
  const root = schemaAt([])
  const sections = Object.entries(root?.properties ?? {})
  const section = sections.find(([, node]) => childOf(node, key) !== undefined)
  return section && `${section[0]}.${key}`
}

function typeWord(expected: string): string {
  if (expected === 'int') return 'a whole number'
  if (expected === 'object' || expected === 'record') return 'a section (keys and values)'
  if (expected === 'array') return 'a list'
  return expected === 'boolean' ? 'true or false' : `a ${expected}`
}

function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  // JSON has no NaN.
  if (typeof value === 'number') return String(value)
  return typeof value === 'object' && value !== null ? 'a section' : JSON.stringify(value)
}
