// The end of a verb that publishes: wait until all is acknowledged, but not for ever.
import { setTimeout as delay } from 'node:timers/promises'
import type { Publisher } from '../mesh/index.ts'
import { givenUp, STOP_MS, type Config } from '../nodes/index.ts'
import { EXIT } from './exit-codes.ts'
import type { Warn } from './output.ts'

/** Of the time to stop, what closing takes after draining. */
export const CLOSE_MS = 1_000

export interface DrainOptions {
  readonly timeoutMs: number
  /** A signal leaves at most STOP_MS. */
  readonly stopping: Promise<unknown>
  /** Whether the lanes are at their end. Default true. */
  readonly end?: boolean
}

/** Closes the publisher; returns the samples that are not stored. */
export async function drain(publisher: Publisher, options: DrainOptions): Promise<number> {
  const { timeoutMs, stopping, end = true } = options
  const startMs = performance.now()
  const timer = new AbortController()
  const timeout = delay(timeoutMs, undefined, { signal: timer.signal }).catch(() => undefined)
  const why = await Promise.race([
    publisher.stored().then(() => 'stored' as const),
    stopping.then(() => 'stopping' as const),
    timeout,
  ])
  timer.abort()
  const leftMs = Math.max(0, timeoutMs - (performance.now() - startMs))
  const drainMs = why === 'stopping' ? Math.min(leftMs, STOP_MS - CLOSE_MS) : leftMs
  return await publisher.close({ drainMs, end })
}

/** Says how many samples were not acknowledged, why, and what becomes of them. */
export function tellUndelivered(
  undelivered: number,
  publisher: Publisher,
  config: Config,
  warn: Warn,
): void {
  const why = givenUp(publisher.trouble() ?? 'no acknowledgement came in time (--timeout)')
  warn(undeliveredText(undelivered, config, why))
  process.exitCode = EXIT.undelivered
}

/** What a disk outbox keeps is late, not gone. */
export function outboxKeeps({ publisher }: Config): boolean {
  return publisher.outbox.diskBytes !== undefined
}

/** What becomes of samples that W stores have not acknowledged when a program ends. */
export function undeliveredText(undelivered: number, config: Config, why?: string): string {
  const { mesh } = config
  const fate = outboxKeeps(config)
    ? 'the disk outbox keeps them, and the next run sends them'
    : 'the memory outbox ends with this program, and only what a store got anyway is kept (with ' +
      'publisher.outbox.disk set, the next run sends the rest)'
  const because = why === undefined ? '' : ` (${why})`
  const samples = undelivered === 1 ? '1 sample was' : `${undelivered} samples were`
  const stores = mesh.writeQuorum === 1 ? 'any store' : `${mesh.writeQuorum} stores`
  return `${samples} not acknowledged by ${stores}${because}: ${fate}`
}
