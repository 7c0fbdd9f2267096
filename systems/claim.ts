// A file that says which process runs a system, so that nobody starts a second one on the same data, and
// so that it can be found again. A claim of a process that is gone counts for nothing.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, rename, rm, writeFile } from 'node:fs/promises'
import { SystemError } from './errors.ts'
import { identityOf } from './process-identity.ts'
import type { SystemName } from './system.ts'

export interface Claim {
  readonly name: SystemName
  readonly version: string
  readonly pid: number
  readonly identity: string
  readonly dataPath: string
  /** Undefined while it is being started; then `pid` is who starts it. */
  readonly address?: string
  readonly zenohAddress?: string
}

export type ClaimedBy = Omit<Claim, 'identity'>

/** @throws SystemError SYSTEM_RUNNING when a live process holds it. */
export async function takeClaim(path: string, by: ClaimedBy): Promise<void> {
  for (;;) {
    try {
      await withScratch(path, by, (scratch) => link(scratch, path))
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const holder = liveClaim(path)
    if (holder !== undefined) {
      const where = holder.address === undefined ? 'is being started' : `runs at ${holder.address}`
      throw new SystemError(
        'SYSTEM_RUNNING',
        `${holder.name} ${where} (pid ${holder.pid}, data in ${holder.dataPath}): use it, or stop it first`,
      )
    }
    await rm(path, { force: true })
  }
}

/** Puts another claim of ours in the place of the one we hold. */
export async function changeClaim(path: string, by: ClaimedBy): Promise<void> {
  await withScratch(path, by, (scratch) => rename(scratch, path))
}

export async function dropClaim(path: string): Promise<void> {
  await rm(path, { force: true })
}

/** The claim, if its process is the one that took it and still runs. */
export function liveClaim(path: string): Claim | undefined {
  const claim = readClaim(path)
  return claim !== undefined && identityOf(claim.pid) === claim.identity ? claim : undefined
}

/** The claim, whoever is still there. */
export function readClaim(path: string): Claim | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Claim
  } catch {
    return undefined
  }
}

/** Written beside it and then put in place whole: nobody ever reads half a claim. */
async function withScratch(
  path: string,
  by: ClaimedBy,
  put: (scratch: string) => Promise<void>,
): Promise<void> {
  const scratch = `${path}.${randomUUID()}`
  const claim: Claim = { ...by, identity: identityOf(by.pid) ?? '' }
  try {
    await writeFile(scratch, `${JSON.stringify(claim, undefined, 2)}\n`)
    await put(scratch)
  } finally {
    await rm(scratch, { force: true })
  }
}
