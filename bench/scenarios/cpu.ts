// Whose CPU it was.
import type { Run } from '../result.ts'

export const PARTS = ['publisher', 'server', 'subscriber'] as const
export type Part = (typeof PARTS)[number]

/** CPU-seconds of all processes of a part in the measured window. */
export function cpuSeconds({ cost }: Run, part: Part): number {
  return Object.entries(cost.cpuSeconds)
    .filter(([name]) => partOf(name) === part)
    .reduce((sum, [, seconds]) => sum + seconds, 0)
}

/** Of the process of a part that used most. */
export function busiestSeconds({ cost }: Run, part: Part): number {
  const own = Object.entries(cost.cpuSeconds).filter(([name]) => partOf(name) === part)
  return Math.max(0, ...own.map(([, seconds]) => seconds))
}

/** By the name of the process. */
function partOf(name: string): Part {
  if (name.startsWith('publisher-')) return 'publisher'
  return name.startsWith('subscriber-') ? 'subscriber' : 'server'
}
