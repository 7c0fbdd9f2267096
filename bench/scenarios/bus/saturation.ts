// Which part of a system has no more to give, from the CPU of its processes.
import { availableParallelism } from 'node:os'
import type { Run } from '../../result.ts'
import { busiestSeconds, cpuSeconds, PARTS, type Part } from '../cpu.ts'
import { median } from '../../stats/figures.ts'

/** Of all cores together, or of the one that a process of Node.js has for its own code. */
const SATURATED = 0.9

/** In use on average, median over blocks; undefined without a run that counts. */
export function coresOf(runs: readonly Run[], part: Part): number | undefined {
  return median(runs, (run) => cpuSeconds(run, part) / run.cost.seconds)
}

/** Whose CPU is used up: `the machine`, `a publisher`, `none`; a dash without a run that counts. */
export function saturatedPart(runs: readonly Run[], cores = availableParallelism()): string {
  const used = PARTS.map((part) => coresOf(runs, part) ?? 0)
  const all = used.reduce((sum, value) => sum + value, 0)
  if (all === 0) return '–'
  if (all >= SATURATED * cores) return 'the machine'
  const part = PARTS.find((part) => {
    const most = median(runs, (run) => busiestSeconds(run, part) / run.cost.seconds)
    return most !== undefined && most >= SATURATED
  })
  return part === undefined ? 'none' : `a ${part}`
}
