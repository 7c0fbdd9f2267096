// What an answer covers, in words.
import { IntervalSet } from '../../mesh/index.ts'
import type { Coverage } from '../../storage/index.ts'
import { counted } from '../counted.ts'
import { count } from './units.ts'

const GAPS_SHOWN = 5

export function describeCoverage(coverage: Coverage, rows: number): string[] {
  const { complete, reasons, answered, members, gaps } = coverage
  // Exact: it is what people compare.
  const head = `${counted(rows, 'row')} from ${answered} of ${counted(members, 'store')}: ${complete ? 'complete' : 'not complete'}`
  const lines = [head, ...reasons.map((reason) => `  ${reason}`)]
  for (const { source, missing, lost, skipped, trimmed, unreachable } of gaps.slice(
    0,
    GAPS_SHOWN,
  )) {
    const parts = [
      ...runsText('missing', missing),
      ...runsText('unreachable', unreachable),
      ...runsText('lost', lost),
      ...runsText('dropped by its publisher', skipped),
      ...runsText('removed by retention', trimmed),
    ]
    if (parts.length > 0) lines.push(`  ${source}: ${parts.join(', ')}`)
  }
  if (gaps.length > GAPS_SHOWN) lines.push(`  … and ${gaps.length - GAPS_SHOWN} more; see --json`)
  return lines
}

function runsText(what: string, runs: readonly number[]): string[] {
  const frames = new IntervalSet(runs).size
  return frames === 0 ? [] : [`${count(frames)} frame${frames === 1 ? '' : 's'} ${what}`]
}
