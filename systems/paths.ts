// Where the systems live: the user's cache folder, for all of it can be had again.
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { System, SystemName } from './system.ts'

/** Looked up at each call: tests point it elsewhere. */
export function systemsPath(): string {
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')
  return join(cache, 'skein', 'systems')
}

export function installPathOf({ name, version }: System): string {
  return join(systemsPath(), `${name}-${version}`)
}

/** Data of a system that is started by hand and not told where else. */
export function runPathOf(name: SystemName): string {
  return join(systemsPath(), 'run', name)
}

/** Says which process runs the one that was started by hand. */
export function statePathOf(name: SystemName): string {
  return join(systemsPath(), 'run', `${name}.json`)
}
