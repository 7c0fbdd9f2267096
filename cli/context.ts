// What every verb begins with: the global flags, the configuration they lead to, and where the mesh is.
import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { TransportName } from '../mesh/index.ts'
import { loadConfig, parseOverride, type LoadedConfig, type Override } from '../nodes/index.ts'
import { UsageError } from './output.ts'
import { readMeshFile } from './up/data-directory.ts'

export interface GlobalFlags {
  readonly config?: string
  readonly data?: string
  readonly seed?: string[]
  readonly set?: string[]
  readonly transport?: string
  readonly json?: boolean
}

/** Reads the configuration; a verb's own flags come as overrides. */
export function contextOf(command: Command, overrides: readonly Override[] = []): LoadedConfig {
  const flags: GlobalFlags = command.optsWithGlobals()
  const all: Override[] = []
  for (const text of flags.set ?? []) all.push(override(text))
  // A path on the command line counts from where the command was typed.
  if (flags.data !== undefined) {
    all.push({ key: 'data', value: resolve(flags.data), flag: '--data' })
  }
  if (flags.transport !== undefined) {
    all.push({ key: 'transport', value: flags.transport, flag: '--transport' })
  }
  if (flags.seed !== undefined) all.push({ key: 'seeds', value: flags.seed, flag: '--seed' })
  const path = flags.config === undefined ? {} : { path: flags.config }
  const { env } = process
  const overriding = { overrides: [...all, ...overrides] }
  const loaded = loadConfig({ ...path, cwd: process.cwd(), env, ...overriding })
  checkData(loaded.config.dataPath)
  checkTransport(loaded.config.transport.name)
  return loaded
}

/** @throws UsageError. */
function checkTransport(name: TransportName): void {
  if (name !== 'memory') return
  throw new UsageError(
    'transport memory connects nodes of one process, and every skein command is a process of its own: ' +
      'use zeromq, hyperswarm, zenoh, nats or kafka',
  )
}

/** One that is not there yet is made. @throws UsageError. */
function checkData(path: string): void {
  if (!existsSync(path) || statSync(path).isDirectory()) return
  throw new UsageError(`${path} is a file: --data (or data: in skein.yaml) names a directory`)
}

export const wantsJson = (command: Command): boolean =>
  command.optsWithGlobals<GlobalFlags>().json === true

/** The configuration with the way to the mesh that runs on this data directory, if one does. */
export function findMesh(command: Command, loaded: LoadedConfig): LoadedConfig {
  const { seed, transport } = command.optsWithGlobals<GlobalFlags>()
  const isTold = seed !== undefined || transport !== undefined
  const running = isTold ? undefined : readMeshFile(loaded.config.dataPath)
  if (running === undefined) return loaded
  return { ...loaded, config: { ...loaded.config, ...running.reach } }
}

function override(text: string): Override {
  try {
    return parseOverride(text)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** For an option that may be given several times. */
export const collect = (value: string, previous: string[] = []): string[] => [...previous, value]
