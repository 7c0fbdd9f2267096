// SKEIN_… variables. The rule: SKEIN_, then the key's path in upper case, with `_` between steps and
// before inner capitals: storage.http.port is SKEIN_STORAGE_HTTP_PORT, publisher.outbox.syncMs is
// SKEIN_PUBLISHER_OUTBOX_SYNC_MS. An empty variable counts as not set, since compose files pass
// those on. An unknown one is an error: a misspelt override that is ignored costs an evening.
import { nearestName } from '../../mesh/index.ts'
import { KNOWN_KEYS } from './known-keys.ts'
import type { Problem } from './problems.ts'
import { valueOfText } from './text-value.ts'
import type { Written } from './written.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Where skein.yaml is, when no path is given. The only variable that is not a key. */
export const CONFIG_PATH_VARIABLE = 'SKEIN_CONFIG'

export function readEnvironment(env: Environment, written: Written): Problem[] {
  const problems: Problem[] = []
  const keys = new Map(KNOWN_KEYS.map((known) => [known.env, known]))
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('SKEIN_') || name === CONFIG_PATH_VARIABLE || !text) continue
    const known = keys.get(name)
    if (known !== undefined) {
      written.set(known.path, valueOfText(text, known.schema), { kind: 'env', name })
      continue
    }
    const near = nearestName(name, [...keys.keys(), CONFIG_PATH_VARIABLE])
    const hint = near === undefined ? '' : `; did you mean ${near}?`
    problems.push({ origin: { kind: 'env', name }, message: `variable is not known${hint}` })
  }
  return problems
}
