// Reads the configuration: defaults, then skein.yaml, then SKEIN_… variables, then flags, the later
// over the earlier. Everything wrong is reported at once, each with its place.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, relative, resolve } from 'node:path'
import { NodeError } from '../errors.ts'
import { checkSettings } from './check.ts'
import { resolveConfig, type Config } from './config.ts'
import { CONFIG_PATH_VARIABLE, readEnvironment, type Environment } from './environment.ts'
import { readOverrides, type Override } from './overrides.ts'
import { throwProblems, type Problem } from './problems.ts'
import { readStreamSchemas } from './stream-schemas.ts'
import { unfoldTransport } from './transport-option.ts'
import { Written, type Path } from './written.ts'
import { readYaml } from './yaml-file.ts'

export const CONFIG_FILE = 'skein.yaml'

export interface ConfigSources {
  /** Of the file; then it must exist. Without it SKEIN_CONFIG counts, then skein.yaml in `cwd`, if there. */
  readonly path?: string
  readonly cwd: string
  readonly env: Environment
  readonly overrides?: readonly Override[]
}

export interface LoadedConfig {
  readonly config: Config
  /** Absolute path of the file read; undefined when there was none. */
  readonly file: string | undefined
  /** What was written and where; explainConfig shows it. */
  readonly written: Written
}

/**
 * Synchronous: it runs once, before anything else.
 * @throws NodeError CONFIG_NOT_FOUND, CONFIG_UNREADABLE, CONFIG_INVALID (details.problems: all of them).
 */
export function loadConfig({ path, cwd, env, overrides = [] }: ConfigSources): LoadedConfig {
  const file = findFile(path ?? (env[CONFIG_PATH_VARIABLE] || undefined), cwd)
  const written = new Written()
  const problems: Problem[] = []
  if (file !== undefined) {
    problems.push(...readYaml(readText(file), shortName(file, cwd), written))
    problems.push(...unfoldTransport(written))
  }
  problems.push(...readEnvironment(env, written))
  problems.push(...readOverrides(overrides, written))

  // A relative path counts from the file that says it, or from where the command was typed.
  const absolute = (key: Path, given: string): string => {
    const inFile = file !== undefined && written.nearestOrigin(key).kind === 'file'
    return resolve(inFile ? dirname(file) : cwd, given)
  }
  const { schemas, problems: schemaProblems } = readStreamSchemas(written, absolute)
  problems.push(...schemaProblems)
  const settings = checkSettings(written)
  if (Array.isArray(settings)) problems.push(...settings)
  throwProblems(problems)
  if (Array.isArray(settings)) throw new TypeError('unreachable: problems were thrown')
  const dataPath = absolute(['data'], settings.data)
  return { config: resolveConfig(settings, dataPath, schemas), file, written }
}

function findFile(path: string | undefined, cwd: string): string | undefined {
  const file = resolve(cwd, path ?? CONFIG_FILE)
  if (existsSync(file)) return file
  if (path === undefined) return undefined
  throw new NodeError('CONFIG_NOT_FOUND', `no configuration at ${file}`, { details: { file } })
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new NodeError('CONFIG_UNREADABLE', `cannot read configuration ${file}`, {
      cause,
      details: { file },
    })
  }
}

function shortName(file: string, cwd: string): string {
  const short = relative(cwd, file)
  return short.startsWith('..') || isAbsolute(short) ? file : short
}
