// What a result must say of the machine it was measured on.
import { fork } from 'node:child_process'
import {
  closeSync,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { once } from 'node:events'
import { cpus, hostname, release, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Machine } from '../result.ts'
import { nowUs } from './clock.ts'

const FDATASYNCS = 200
const BLOCK_BYTES = 4096
const PINGS = 100

export async function describeMachine(): Promise<Machine> {
  const all = cpus()
  return {
    host: hostname(),
    cpus: all.length,
    cpuModel: all[0]?.model.trim() ?? 'unknown',
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    filesystem: filesystemOf(process.cwd()),
    fdatasyncUs: fdatasyncUs(),
    clockOffsetUs: await clockOffsetUs(),
  }
}

/** p50 of an append of 4 KiB with its fdatasync, µs. */
export function fdatasyncUs(): number {
  const directory = mkdtempSync(join(process.cwd(), '.skein-bench-'))
  const fd = openSync(join(directory, 'fdatasync'), 'w')
  const block = Buffer.alloc(BLOCK_BYTES, 7)
  const took = Array.from({ length: FDATASYNCS }, () => {
    const startUs = nowUs()
    writeSync(fd, block)
    fdatasyncSync(fd)
    return nowUs() - startUs
  })
  closeSync(fd)
  rmSync(directory, { recursive: true })
  return Math.round(median(took))
}

/**
 * Between this process and one of its own, µs: how far its time is from the middle of ours before and
 * after, in the quickest of some pings.
 */
async function clockOffsetUs(): Promise<number> {
  const child = fork(join(import.meta.dirname, 'clock-process.ts'))
  const answer = async (): Promise<unknown> => (await once(child, 'message'))[0]
  await answer()
  let best = { tookUs: Infinity, offsetUs: 0 }
  for (let i = 0; i < PINGS; i++) {
    const beforeUs = nowUs()
    child.send('ping')
    const theirsUs = Number(await answer())
    const afterUs = nowUs()
    const tookUs = afterUs - beforeUs
    if (tookUs < best.tookUs) best = { tookUs, offsetUs: theirsUs - (beforeUs + afterUs) / 2 }
  }
  child.disconnect()
  return Math.round(Math.abs(best.offsetUs))
}

/** The type of the filesystem that a path is on. */
function filesystemOf(path: string): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').trim().split('\n')
  const [, , type] =
    mounts
      .map((line) => line.split(' '))
      .filter(([, mount]) => path === mount || path.startsWith(mount === '/' ? '/' : `${mount}/`))
      .toSorted(([, a], [, b]) => b!.length - a!.length)[0] ?? []
  return type ?? 'unknown'
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}
