// Installs a system into a folder of its own, named after its version. It is built in a folder beside it,
// which is renamed when all is there and the program has said its version: a folder with that name is
// complete, or was left by somebody else and is done again.
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { SystemError } from './errors.ts'
import { installPathOf } from './paths.ts'
import { isAlive } from './process-identity.ts'
import type { System, SystemName } from './system.ts'
import { SYSTEMS } from './systems-by-name.ts'
import { checkTool } from './tools.ts'

/** Written last, so that an installation that was broken off lacks it. */
const MARKER = 'installed.json'

export interface InstallOptions {
  /** What the tools print, line by line. */
  readonly onLine?: (line: string) => void
}

export function isInstalled(name: SystemName): boolean {
  const system = SYSTEMS[name]
  const installPath = installPathOf(system)
  return [MARKER, ...system.files].every((file) => existsSync(join(installPath, file)))
}

/** What a user is told to type. */
export function installCommand(name: SystemName): string {
  return `npm run systems -- install ${name}`
}

/** @throws SystemError SYSTEM_NOT_INSTALLED, with the command that installs it. */
export function checkInstalled(name: SystemName): void {
  if (isInstalled(name)) return
  throw new SystemError(
    'SYSTEM_NOT_INSTALLED',
    `${name} ${SYSTEMS[name].version} is not installed: ${installCommand(name)}`,
  )
}

/**
 * Does nothing when that version is installed. Where it is: the folder it resolves with.
 * @throws SystemError SYSTEM_TOOL_MISSING, SYSTEM_TOOL_TOO_OLD or SYSTEM_INSTALL_FAILED.
 */
export async function install(name: SystemName, { onLine }: InstallOptions = {}): Promise<string> {
  const system = SYSTEMS[name]
  const installPath = installPathOf(system)
  if (isInstalled(name)) return installPath
  for (const tool of system.installTools) {
    await checkTool(tool, `it is needed to install ${name}`)
  }
  const parent = dirname(installPath)
  await mkdir(parent, { recursive: true })
  await removeLeftovers(parent, basename(installPath))
  const scratch = await mkdtemp(join(parent, `${basename(installPath)}.part-${process.pid}-`))
  try {
    await build(system, scratch, onLine)
    await moveInto(scratch, installPath, name)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
  return installPath
}

async function build(
  system: System,
  folder: string,
  onLine: ((line: string) => void) | undefined,
): Promise<void> {
  const { name, version } = system
  let found: string
  try {
    await system.install(folder, { ...(onLine !== undefined && { onLine }) })
    found = await system.installedVersion(folder)
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new SystemError(
      'SYSTEM_INSTALL_FAILED',
      `${name} ${version} could not be installed: ${said}`,
      { cause },
    )
  }
  if (found !== version) {
    throw new SystemError(
      'SYSTEM_INSTALL_FAILED',
      `${name} ${version} was asked for, and what was installed says that it is version ${found}`,
    )
  }
  await writeFile(join(folder, MARKER), `${JSON.stringify({ name, version })}\n`)
}

async function moveInto(scratch: string, installPath: string, name: SystemName): Promise<void> {
  // Somebody else may have finished first: theirs is as good, and may be running.
  if (isInstalled(name)) return
  await rm(installPath, { recursive: true, force: true })
  try {
    await rename(scratch, installPath)
  } catch (error) {
    if (!isInstalled(name)) throw error
  }
}

/** Parts that a process left which is no more. */
async function removeLeftovers(parent: string, name: string): Promise<void> {
  for (const entry of await readdir(parent)) {
    const [, pid] = /\.part-(\d+)-/.exec(entry) ?? []
    if (pid === undefined || !entry.startsWith(`${name}.part-`) || isAlive(Number(pid))) continue
    await rm(join(parent, entry), { recursive: true, force: true })
  }
}
