// What processes cost, as the kernel counts it: threads included, whatever the processes say of themselves.
import { readFileSync } from 'node:fs'

/** Linux says so to every program. */
const TICKS_PER_SECOND = 100

export interface ProcessCost {
  readonly cpuSeconds: number
  /** Proportional set size: shared pages are shared out. */
  readonly memoryBytes: number
  /** Handed to the block layer. */
  readonly writtenBytes: number
}

/** Undefined when there is no such process (any more). */
export function processCost(pid: number): ProcessCost | undefined {
  try {
    // The name, in brackets, may hold anything: the numbers begin after the last one.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const numbers = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ticks = Number(numbers[11]) + Number(numbers[12])
    return {
      cpuSeconds: ticks / TICKS_PER_SECOND,
      memoryBytes: field(`/proc/${pid}/smaps_rollup`, 'Pss') * 1024,
      writtenBytes: field(`/proc/${pid}/io`, 'write_bytes'),
    }
  } catch {
    return undefined
  }
}

/** Ticks of the machine that the hypervisor gave to others, and all ticks. */
export function stealTicks(): { readonly steal: number; readonly all: number } {
  const [, ...ticks] = readFileSync('/proc/stat', 'utf8').split('\n')[0]!.trim().split(/\s+/)
  const numbers = ticks.slice(0, 8).map(Number)
  return { steal: numbers[7]!, all: numbers.reduce((sum, value) => sum + value, 0) }
}

function field(path: string, name: string): number {
  const line = readFileSync(path, 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${name}:`))
  return Number(line?.match(/\d+/)?.[0] ?? 0)
}
