// Starts an installed system on loopback and resolves when it answers as a client would be answered.
import { mkdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { changeClaim, dropClaim, takeClaim } from './claim.ts'
import { SystemError } from './errors.ts'
import { checkInstalled } from './install.ts'
import { installPathOf } from './paths.ts'
import { checkFree, freePort } from './ports.ts'
import { RunningProgram } from './program.ts'
import type { Place, Program, System, SystemName, SystemOptions } from './system.ts'
import { SYSTEMS } from './systems-by-name.ts'
import { checkTool } from './tools.ts'

/** Kafka takes its time to close its logs; the others are quick. */
const STOP_LIMIT_MS = 15_000
const PROBE_EVERY_MS = 25
const LOG_BYTES_SHOWN = 2_000

export interface StartOptions extends SystemOptions {
  /** Kept when it stops. Default: a temporary directory that goes with it. */
  readonly dataPath?: string
  /** An address of this machine; default 127.0.0.1. */
  readonly host?: string
  /** Where clients connect; a free port by default. */
  readonly port?: number
  /** Kafka's controller, or where other Zenoh bridges connect; a free port by default. */
  readonly peerPort?: number
  /** It outlives the process that started it. Default: it ends with it, even if that is killed. */
  readonly isDetached?: boolean
  readonly signal?: AbortSignal
}

export interface StopOptions {
  /** Temporary data stays too, for a `restart`. */
  readonly keepData?: boolean
}

export interface RunningSystem extends AsyncDisposable {
  readonly name: SystemName
  readonly version: string
  /** Another one after each `restart`. */
  readonly pid: number
  /** What clients are given: `nats://127.0.0.1:22001`, `127.0.0.1:22002`, `ws://127.0.0.1:22003`. */
  readonly address: string
  /** What another Zenoh bridge is told to connect to. */
  readonly zenohAddress: string | undefined
  readonly dataPath: string
  readonly logPath: string
  /** Asks it to end, and makes it end if it does not. Resolves once its process is gone. */
  stop(options?: StopOptions): Promise<void>
  /** SIGKILL. Its data stays. */
  kill(): Promise<void>
  /** The same ports and the same data, after `kill`, `stop({ keepData: true })`, or as it runs. */
  restart(): Promise<void>
}

export interface RunningZenoh extends RunningSystem {
  readonly zenohAddress: string
}

export function startSystem(name: 'zenoh', options?: StartOptions): Promise<RunningZenoh>
export function startSystem(name: SystemName, options?: StartOptions): Promise<RunningSystem>
/** @throws SystemError SYSTEM_NOT_INSTALLED, SYSTEM_PORT_TAKEN, SYSTEM_RUNNING, SYSTEM_START_FAILED. */
export async function startSystem(
  name: SystemName,
  options: StartOptions = {},
): Promise<RunningSystem> {
  const system = SYSTEMS[name]
  checkInstalled(name)
  for (const tool of system.runTools) await checkTool(tool, `it is needed to run ${name}`)
  const isTemporary = options.dataPath === undefined
  const {
    dataPath,
    host = '127.0.0.1',
    port,
    peerPort,
    isDetached = false,
    signal,
    ...settings
  } = options
  const place: Place = {
    ...settings,
    host,
    installPath: installPathOf(system),
    dataPath: dataPath === undefined ? await temporaryPath(name) : resolve(dataPath),
    port: port ?? (await freePort(host)),
    peerPort: peerPort ?? (await freePort(host)),
  }
  const running = new Running(system, place, isTemporary, isDetached)
  try {
    await running.start(signal)
  } catch (error) {
    if (isTemporary) await rm(place.dataPath, { recursive: true, force: true })
    throw error
  }
  return running
}

function temporaryPath(name: SystemName): Promise<string> {
  return mkdtemp(join(tmpdir(), `skein-${name}-`))
}

class Running implements RunningSystem {
  readonly name: SystemName
  readonly version: string
  readonly address: string
  readonly zenohAddress: string | undefined
  readonly dataPath: string
  readonly logPath: string
  private program: RunningProgram | undefined
  private isRemoved = false
  private readonly claimPath: string
  private readonly system: System
  private readonly place: Place
  private readonly isTemporary: boolean
  private readonly isDetached: boolean

  constructor(system: System, place: Place, isTemporary: boolean, isDetached: boolean) {
    this.system = system
    this.place = place
    this.isTemporary = isTemporary
    this.isDetached = isDetached
    this.name = system.name
    this.version = system.version
    this.address = system.address(place)
    this.zenohAddress = system.zenohAddress?.(place)
    this.dataPath = place.dataPath
    this.logPath = join(place.dataPath, `${system.name}.log`)
    this.claimPath = join(place.dataPath, 'running.json')
  }

  get pid(): number {
    if (this.program === undefined) throw this.notRunning('has no process')
    return this.program.pid
  }

  async start(signal?: AbortSignal): Promise<void> {
    const { system, place } = this
    mkdirSync(this.dataPath, { recursive: true })
    await checkFree(place.host, place.port, this.name)
    if (system.hasPeerPort) await checkFree(place.host, place.peerPort, this.name)
    await takeClaim(this.claimPath, this.claimedBy(process.pid))
    try {
      const program = await RunningProgram.start(await this.prepared(), {
        logPath: this.logPath,
        cwd: this.dataPath,
        isDetached: this.isDetached,
        temporaryPath: this.isTemporary ? this.dataPath : undefined,
      })
      await this.untilItAnswers(program, signal)
      this.program = program
      await changeClaim(this.claimPath, { ...this.claimedBy(program.pid), address: this.address })
    } catch (error) {
      await dropClaim(this.claimPath)
      throw error
    }
  }

  async stop({ keepData = false }: StopOptions = {}): Promise<void> {
    await this.program?.stop(STOP_LIMIT_MS)
    await this.afterEnd()
    if (!this.isTemporary || keepData) return
    this.isRemoved = true
    await rm(this.dataPath, { recursive: true, force: true })
  }

  async kill(): Promise<void> {
    await this.program?.kill()
    await this.afterEnd()
  }

  async restart(): Promise<void> {
    if (this.isRemoved) throw this.notRunning('was stopped and its temporary data removed')
    await this.stop({ keepData: true })
    await this.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  private async prepared(): Promise<Program> {
    try {
      return await this.system.prepare(this.place)
    } catch (cause) {
      const said = cause instanceof Error ? cause.message : String(cause)
      const what = `${this.name} ${this.version} could not be set up in ${this.dataPath}: ${said}`
      throw new SystemError('SYSTEM_START_FAILED', what, { cause })
    }
  }

  private async afterEnd(): Promise<void> {
    this.program = undefined
    await dropClaim(this.claimPath)
  }

  private async untilItAnswers(program: RunningProgram, signal?: AbortSignal): Promise<void> {
    const { startLimitMs } = this.system
    const startedMs = performance.now()
    let reason: unknown
    for (;;) {
      try {
        await this.system.probe(this.place)
        // An answer could come from somebody else who took the port.
        if (!program.hasEnded) break
      } catch (error) {
        reason = error
      }
      const waitedMs = performance.now() - startedMs
      if (program.hasEnded) throw this.startFailed(`ended: ${await program.ended}`, reason)
      if (waitedMs > startLimitMs || signal?.aborted === true) {
        await program.kill()
        signal?.throwIfAborted()
        throw this.startFailed(`did not answer within ${startLimitMs} ms`, reason)
      }
      await delay(PROBE_EVERY_MS)
    }
    program.unref()
  }

  private claimedBy(pid: number) {
    const { name, version, dataPath, zenohAddress } = this
    return {
      name,
      version,
      pid,
      dataPath,
      ...(zenohAddress !== undefined && { zenohAddress }),
    }
  }

  private startFailed(what: string, cause: unknown): SystemError {
    const log = readFileSync(this.logPath, 'utf8').slice(-LOG_BYTES_SHOWN).trim()
    return new SystemError(
      'SYSTEM_START_FAILED',
      `${this.name} ${this.version} on ${this.address} ${what}. ${log === '' ? 'It said nothing' : `It said:\n${log}`}`,
      { cause },
    )
  }

  private notRunning(what: string): SystemError {
    return new SystemError('SYSTEM_NOT_RUNNING', `${this.name} at ${this.address} ${what}`)
  }
}
