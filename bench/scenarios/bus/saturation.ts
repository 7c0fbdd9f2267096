// Which part of a system has no more to give, from the CPU of its processes.
import { availableParallelism } from 'node:os'
import type { Run } from '../../result.ts'
import { busiestSeconds, cpuSeconds, PARTS, type Part } from '../cpu.ts'
import { median } from '../figures.ts'

/** Of all cores together, or of the one that a process of Node.js has for its own code. */
const SATURATED = 0.9

/** In use on average, median over blocks; undefined without a run that counts. */
export function coresOf(runs: readonly Run[], part: Part): number | undefined {
  return median(runs, (run) => cpuSeconds(run, part) / run.cost.seconds)
}

/** `the machine: publisher 0.8, server 1.1 of 2 cores`, `a publisher: 0.97 of a core`. */
export function saturatedPart(runs: readonly Run[], cores = availableParallelism()): string {
  const used = PARTS.map((part) => [part, coresOf(runs, part) ?? 0] as const)
  const all = used.reduce((sum, [, value]) => sum + value, 0)
  if (all === 0) return '–'
  if (all >= SATURATED * cores) {
    const shares = used.filter(([, value]) => value > 0)
    const words = shares.map(([part, value]) => `${part} ${value.toFixed(1)}`)
    return `the machine: ${words.join(', ')} of ${cores} cores`
  }
  for (const part of PARTS) {
    const most = median(runs, (run) => busiestSeconds(run, part) / run.cost.seconds)
    if (most !== undefined && most >= SATURATED) return `a ${part}: ${most.toFixed(2)} of a core`
  }
  return `no CPU: ${all.toFixed(1)} of ${cores} cores, it waits for the disk or for receipts`
}
