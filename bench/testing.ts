// Runs the bench as its users do, for the tests that run it whole.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { readResult } from './report/files.ts'
import type { Result, Run } from './result.ts'

export const BENCH_LIMIT_MS = 240_000
export const BENCH_PROGRAM = join(import.meta.dirname, 'bench.ts')
/** As little of a scenario as can be. */
export const SHORT = ['--quick', '--blocks', '1', '--seconds', '0.5']
export const ALONE = [...SHORT, '--against', 'none']

/** `out`: where results go. */
export async function bench(out: string, ...words: string[]): Promise<Result> {
  const all = [BENCH_PROGRAM, ...words, '--out', out]
  const { stderr } = await promisify(execFile)(process.execPath, all)
  const [json, html] = stderr.trim().split('\n').slice(-2)
  expect(readFileSync(html!, 'utf8')).toContain('</html>')
  return readResult(json!)
}

/** What is wrong with runs for reasons other than how busy this machine is. */
export function faults(runs: readonly Run[]): string[] {
  return runs.flatMap(({ cell, voids }) =>
    voids.filter((why) => !BUSY.test(why)).map((why) => `${cell}: ${why}`),
  )
}

const BUSY = /^the generator was late|of the machine was given to others$|samples\/s were taken$/
