// What the tests of the outbox share: a clock that stands still, frames that tell which samples they
// hold, and copies of a directory as a crash would leave it.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../clock.ts'
import { encodeFrame, type FrameHeader, NO_SCHEMA, readFrame } from '../../frame.ts'
import type { Epoch, MeshId } from '../../names.ts'
import type { Sample } from '../../sample.ts'
import { SeededRandom } from '../../seeded-random.ts'

export const MESH = '0011223344556677' as MeshId
export const OTHER_MESH = 'ffeeddccbbaa9988' as MeshId
export const EPOCH = '0190000000001234' as Epoch

/** Timers never fire: background work happens only where a test calls sync(). */
export const frozenClock: Clock = {
  nowUs: () => 1_700_000_000_000_000,
  monotonicMs: () => 0,
  startTimer: () => ({ cancel: () => {} }),
}

/** A clock whose timers fire when the test says so. */
export class ManualClock implements Clock {
  private timers: (() => void)[] = []

  nowUs(): number {
    return 0
  }

  monotonicMs(): number {
    return 0
  }

  startTimer(_delayMs: number, callback: () => void): { cancel(): void } {
    this.timers.push(callback)
    return { cancel: () => (this.timers = this.timers.filter((timer) => timer !== callback)) }
  }

  get waiting(): number {
    return this.timers.length
  }

  fire(): void {
    const timers = this.timers
    this.timers = []
    for (const timer of timers) timer()
  }
}

export function reading(n: number): Sample {
  return { timeUs: n, fields: { n, speed: n / 3, gear: n % 6, on: n % 2 === 0, state: `s${n}` } }
}

/**
 * A frame whose body is a JSON list of numbers, and as many spaces as asked for; in one and the same
 * lane unless `other` says otherwise.
 */
export function frameOf(
  sequence: number,
  numbers: readonly number[],
  padding = 0,
  other: Partial<FrameHeader> = {},
): Buffer {
  const header = { source: 'VH001', stream: 'vehicle.motion', epoch: EPOCH, sequence } as const
  const times = { firstUs: 0, lastUs: 0, count: Math.min(numbers.length, 65_536) }
  const kind = { kind: 'data', codec: 'json', schemaId: NO_SCHEMA } as const
  const body = Buffer.from(JSON.stringify(numbers) + ' '.repeat(padding))
  return encodeFrame({ ...header, ...times, ...kind, ...other }, body)
}

export function numbersIn(frame: Buffer): number[] {
  const read = readFrame(frame)
  if (typeof read === 'string') throw new Error(`not a frame: ${read}`)
  return JSON.parse(read.body.toString('utf8')) as number[]
}

export function tempDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'skein-outbox-'))
}

/** Names of the segments, oldest first. */
export function segmentNames(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.log'))
    .sort()
}

/** All but the lock as it is now: what another process would find if this one were killed. */
export function copySegments(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true })
  mkdirSync(to, { recursive: true })
  for (const name of readdirSync(from)) {
    if (name !== 'lock') copyUnlessGone(join(from, name), join(to, name))
  }
}

/** Background work may be deleting a segment at this moment. */
function copyUnlessGone(from: string, to: string): void {
  try {
    cpSync(from, to, { recursive: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    rmSync(to, { force: true, recursive: true })
  }
}

/** Repeatable numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  const random = new SeededRandom(seed)
  return () => random.next()
}
