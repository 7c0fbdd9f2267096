// From the outcomes of faults to a line, and to the table of docs/durability.md.
import { failuresOf, type Fault, type FaultOutcome } from './fault.ts'

/** An outcome, a fault that went wrong, or one that cannot be done here. */
export type Result =
  | { readonly fault: Fault; readonly outcome: FaultOutcome }
  | { readonly fault: Fault; readonly error: string }
  | { readonly fault: Fault; readonly skipped: string }

const MIB = 1024 * 1024
const BEGIN = '<!-- faults: made by npm run faults -- --report -->'
const END = '<!-- end of faults -->'

export function isGood(result: Result): boolean {
  if ('skipped' in result) return true
  return 'outcome' in result && failuresOf(result.outcome).length === 0
}

export function line(result: Result): string {
  const { name } = result.fault
  if ('skipped' in result) return `${name}: skipped: ${result.skipped}`
  if ('error' in result) return `${name}: FAILED: ${result.error}`
  const { outcome } = result
  const failures = failuresOf(outcome)
  const verdict = failures.length === 0 ? 'nothing lost' : `FAILED: ${failures.join(', ')}`
  return (
    `${name}: ${verdict}; ${outcome.runs} runs, ${outcome.samples} samples acknowledged, ` +
    `complete after ${seconds(outcome.completeMs)} s: ${outcome.happened}`
  )
}

export function table(results: readonly Result[]): string[] {
  const cells = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`
  return [
    cells([
      'fault',
      'runs',
      'acknowledged: frames',
      'samples',
      'lost',
      'wrong',
      'repeated',
      'complete after, s',
      'memory of a store, MiB (bound)',
    ]),
    '| --- |' + ' ---: |'.repeat(8),
    ...results.map((result) => cells([result.fault.title, ...figures(result)])),
  ]
}

function figures(result: Result): string[] {
  if ('skipped' in result) return [`not run: ${result.skipped}`, ...Array<string>(7).fill('')]
  if ('error' in result) return [`FAILED: ${result.error}`, ...Array<string>(7).fill('')]
  const { outcome } = result
  const counts = [outcome.runs, outcome.frames, outcome.samples]
  const bad = [outcome.lost, outcome.wrong, outcome.repeated]
  const mib = (bytes: number): string => String(Math.round(bytes / MIB))
  return [
    ...[...counts, ...bad].map((count) => count.toLocaleString('en-US')),
    seconds(outcome.completeMs),
    `${mib(outcome.rssBytes)} (${mib(outcome.rssMaxBytes)})`,
  ]
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1)

/** The document with its table replaced. @throws Error when it has no place for one. */
export function withTable(document: string, lines: readonly string[]): string {
  const from = document.indexOf(BEGIN)
  const to = document.indexOf(END)
  if (from < 0 || to < from) throw new Error(`the document has no ${BEGIN} … ${END}`)
  return `${document.slice(0, from + BEGIN.length)}\n\n${lines.join('\n')}\n\n${document.slice(to)}`
}
