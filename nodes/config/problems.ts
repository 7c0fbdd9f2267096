// Everything wrong with a configuration at once: an operator who fixes one line per attempt gives up.
import { NodeError } from '../errors.ts'
import { originText, type Origin } from './written.ts'

export interface Problem {
  readonly origin: Origin
  /** A whole sentence that names the key. */
  readonly message: string
}

/** @throws NodeError CONFIG_INVALID listing them in the order of the file, when there are any. */
export function throwProblems(problems: readonly Problem[]): void {
  if (problems.length === 0) return
  const sorted = problems.toSorted(inFileOrder)
  const lines = sorted.map(({ origin, message }) => `  ${placeText(origin)}: ${message}`)
  const count = lines.length === 1 ? 'a problem' : `${lines.length} problems`
  throw new NodeError('CONFIG_INVALID', [`configuration has ${count}`, ...lines].join('\n'), {
    details: { problems: sorted },
  })
}

function placeText(origin: Origin): string {
  if (origin.kind === 'file') return `${origin.file}:${origin.line}:${origin.column}`
  return originText(origin)
}

function inFileOrder(a: Problem, b: Problem): number {
  const [lineA, columnA] = positionOf(a)
  const [lineB, columnB] = positionOf(b)
  return lineA === lineB ? columnA - columnB : lineA - lineB
}

function positionOf({ origin }: Problem): readonly [line: number, column: number] {
  return origin.kind === 'file' ? [origin.line, origin.column] : [Number.MAX_SAFE_INTEGER, 0]
}
