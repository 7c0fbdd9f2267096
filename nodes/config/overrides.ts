// Values from the command line: they win over everything else.
import { nearestName } from '../../mesh/index.ts'
import { KNOWN_KEYS } from './known-keys.ts'
import type { Problem } from './problems.ts'
import { valueOfText } from './text-value.ts'
import type { Written } from './written.ts'

export interface Override {
  /** A key of skein.yaml, `up.vehicles`. */
  readonly key: string
  /** Text is read as the key's type, as a variable's is. */
  readonly value: unknown
  /** The flag as the user knows it, `--vehicles`. */
  readonly flag: string
}

/** `storage.budget=1GiB` of a `--set` flag. @throws RangeError without a `=`. */
export function parseOverride(text: string, flag = '--set'): Override {
  const at = text.indexOf('=')
  if (at < 1) throw new RangeError(`${flag} ${text}: expected key=value, as in storage.budget=1GiB`)
  return { key: text.slice(0, at).trim(), value: text.slice(at + 1).trim(), flag }
}

export function readOverrides(overrides: readonly Override[], written: Written): Problem[] {
  const problems: Problem[] = []
  for (const { key, value, flag } of overrides) {
    const known = KNOWN_KEYS.find((each) => each.key === key)
    if (known !== undefined) {
      const typed = typeof value === 'string' ? valueOfText(value, known.schema) : value
      if (value !== undefined) written.set(known.path, typed, { kind: 'flag', flag })
      continue
    }
    problems.push({ origin: { kind: 'flag', flag }, message: unknownKey(key) })
  }
  return problems
}

function unknownKey(key: string): string {
  const keys = KNOWN_KEYS.map((known) => known.key)
  const near = nearestName(key, keys) ?? keys.find((known) => known.endsWith(`.${key}`))
  return `${key} is not known${near === undefined ? '' : `; did you mean ${near}?`}`
}
