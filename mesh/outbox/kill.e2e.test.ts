// A real process, killed with SIGKILL at 30 seeded moments, each life going on where the last one
// died. What it said it was promised must hold: every accepted sample is in exactly one frame or among
// the recovered, and no frame is gone that was not done.
import { spawn } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readBootId } from './boot.ts'
import { OutboxLog, type Recovered } from './log.ts'
import {
  copySegments,
  frozenClock,
  MESH,
  numbersIn,
  seededRandom,
  tempDirectory,
} from './testing/support.ts'

const SEED = 77
const KILLS = 30
const CHILD = fileURLToPath(new URL('testing/kill-child.ts', import.meta.url))

let root: string
let directory: string
beforeAll(() => {
  root = tempDirectory()
  directory = join(root, 'outbox')
})
afterAll(() => rmSync(root, { recursive: true }))

/** All that the lives so far have said. */
class Promises {
  readonly accepted = new Set<number>()
  readonly sealed = new Map<number, readonly number[]>()
  readonly done = new Set<number>()
  private lastSequence = 0

  hear(line: string): void {
    const [what, ...rest] = line.split(' ')
    const numbers = rest.map(Number)
    if (what === 'A') this.accepted.add(numbers[0]!)
    else if (what === 'S') {
      this.sealed.set(numbers[0]!, numbers.slice(2))
      this.lastSequence = numbers[1]!
    } else if (what === 'D') this.done.add(numbers[0]!)
  }

  /** Compares with what is on disk, and learns what was written just before the kill. */
  check({ frames, samples, lanes, damagedRecords }: Recovered): void {
    expect(damagedRecords).toBe(0)
    for (const { frame } of frames) this.lastSequence = Math.max(this.lastSequence, frame.sequence)
    // All frames are in one lane. Without a boot id nobody can know that this was no power cut.
    const uncertain = readBootId() === ''
    const lane = { lastSequence: this.lastSequence, ended: false, uncertain }
    expect(lanes).toMatchObject(this.lastSequence === 0 ? [] : [lane])
    for (const { position, frame } of frames) {
      const numbers = numbersIn(frame.bytes)
      expect(this.sealed.get(position) ?? numbers).toEqual(numbers)
      this.sealed.set(position, numbers)
    }
    const found = new Set(frames.map(({ position }) => position as number))
    for (const position of this.sealed.keys()) {
      expect(found.has(position) || this.done.has(position)).toBe(true)
    }
    const holders = new Map<number, number>()
    const unsealed = samples.map(({ sample }) => sample.fields['n'] as number)
    for (const n of [...unsealed, ...[...this.sealed.values()].flat()]) {
      holders.set(n, (holders.get(n) ?? 0) + 1)
    }
    expect([...holders].filter(([, count]) => count !== 1)).toEqual([])
    expect([...this.accepted].filter((n) => !holders.has(n))).toEqual([])
    for (const n of holders.keys()) this.accepted.add(n)
  }
}

/** Runs one life and kills it when it has said `lines` lines, or after `killMs`, said or not. */
async function live(
  life: number,
  { lines, killMs }: { lines: number; killMs: number },
  promises: Promises,
): Promise<void> {
  const args = [CHILD, directory, String(life)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const timer = setTimeout(() => child.kill('SIGKILL'), killMs)
  let rest = ''
  let heard = 0
  for await (const chunk of child.stdout) {
    const parts = (rest + String(chunk)).split('\n')
    rest = parts.pop()!
    for (const line of parts) promises.hear(line)
    heard += parts.length
    if (heard >= lines) child.kill('SIGKILL')
  }
  clearTimeout(timer)
}

test(`kill -9 at ${KILLS} moments loses nothing and doubles nothing (seed ${SEED})`, async () => {
  const random = seededRandom(SEED)
  const promises = new Promises()
  for (let life = 1; life <= KILLS; life++) {
    // From right after recovery to a few thousand operations; every third time while the process
    // starts or recovers, as far as that can be timed.
    const lines = Math.floor(random() ** 3 * 4000)
    const killMs = life % 3 === 0 ? 40 + random() * 120 : 20_000
    await live(life, { lines, killMs }, promises)
    // No lock to clean up: the next life opens at once; the check uses a copy, to change nothing.
    const copy = join(root, 'copy')
    copySegments(directory, copy)
    const log = await OutboxLog.open({ directory: copy, meshId: MESH, clock: frozenClock })
    promises.check(log.recovered)
    await log.close()
  }
  expect(promises.accepted.size).toBeGreaterThan(3000)
  expect(promises.done.size).toBeGreaterThan(500)
  expect(readdirSync(directory).length).toBeLessThan(40)
}, 60_000)
