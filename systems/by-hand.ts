// A system that somebody starts in one terminal and stops in another: it outlives the command, and a file
// in the cache folder says which process it is.
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { changeClaim, dropClaim, liveClaim, readClaim, takeClaim, type Claim } from './claim.ts'
import { SystemError } from './errors.ts'
import { checkInstalled, isInstalled } from './install.ts'
import { runPathOf, statePathOf } from './paths.ts'
import { startSystem, type StartOptions } from './start.ts'
import { SYSTEM_NAMES, type SystemName } from './system.ts'
import { SYSTEMS } from './systems-by-name.ts'

const STOP_LIMIT_MS = 15_000
const STOP_EVERY_MS = 20

export type StartByHandOptions = Pick<StartOptions, 'dataPath' | 'port' | 'peerPort' | 'signal'>

export interface Status {
  readonly name: SystemName
  readonly version: string
  readonly isInstalled: boolean
  readonly running: Claim | undefined
  /** It was started and its process is gone, without a `stop`. */
  readonly died: Claim | undefined
}

/** @throws SystemError as `startSystem` does; SYSTEM_RUNNING too when it was started by hand before. */
export async function startByHand(
  name: SystemName,
  { dataPath = runPathOf(name), ...options }: StartByHandOptions,
): Promise<Claim> {
  checkInstalled(name)
  const path = statePathOf(name)
  mkdirSync(dirname(path), { recursive: true })
  const { version } = SYSTEMS[name]
  await takeClaim(path, { name, version, dataPath, pid: process.pid })
  try {
    const system = await startSystem(name, { ...options, dataPath, isDetached: true })
    const { pid, address, zenohAddress } = system
    await changeClaim(path, {
      name,
      version,
      pid,
      address,
      dataPath: system.dataPath,
      ...(zenohAddress !== undefined && { zenohAddress }),
    })
  } catch (error) {
    await dropClaim(path)
    throw error
  }
  const claim = liveClaim(path)
  if (claim !== undefined) return claim
  throw new SystemError(
    'SYSTEM_START_FAILED',
    `${name} answered and ended; its log is in ${dataPath}`,
  )
}

/** What ran, and undefined when nothing did. Resolves once its process is gone. */
export async function stopByHand(name: SystemName): Promise<Claim | undefined> {
  const path = statePathOf(name)
  const running = liveClaim(path)
  const claim = running ?? readClaim(path)
  if (running !== undefined) {
    process.kill(running.pid, 'SIGTERM')
    for (let waitedMs = 0; liveClaim(path) !== undefined; waitedMs += STOP_EVERY_MS) {
      if (waitedMs >= STOP_LIMIT_MS) process.kill(running.pid, 'SIGKILL')
      await delay(STOP_EVERY_MS)
    }
  }
  if (claim !== undefined) {
    const dataClaimPath = join(claim.dataPath, 'running.json')
    if (liveClaim(dataClaimPath) === undefined) await dropClaim(dataClaimPath)
    await dropClaim(path)
  }
  return running
}

export function statusOf(name: SystemName): Status {
  const path = statePathOf(name)
  const running = liveClaim(path)
  return {
    name,
    version: SYSTEMS[name].version,
    isInstalled: isInstalled(name),
    running,
    died: running === undefined ? readClaim(path) : undefined,
  }
}

export function statusOfAll(): Status[] {
  return SYSTEM_NAMES.map((name) => statusOf(name))
}
