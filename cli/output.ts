// What a verb prints: results to stdout, one JSON document or line per result with --json; everything
// said about the work (progress, warnings, errors) to stderr.
import { styleText } from 'node:util'
import type { CommanderError } from 'commander'
import { EXIT } from './exit-codes.ts'
import { jsonLine } from './format/json-line.ts'

/** An error whose cause is the input, by code: the user can mend it, a stack would not help. */
const USAGE_CODES = new Set([
  'CONFIG_INVALID',
  'CONFIG_NOT_FOUND',
  'CONFIG_UNREADABLE',
  'QUERY_INVALID',
  'SIM_MAPPING_INVALID',
  'SIM_FILE_NOT_FOUND',
  'SIM_FILE_FORMAT',
  'MESH_ADDRESS_INVALID',
  'MESH_SCHEMA_INVALID',
  'CLI_USAGE',
])

/** A command line that cannot be carried out. */
export class UsageError extends Error {
  readonly code = 'CLI_USAGE'
}

interface CodedError extends Error {
  readonly code: string
  readonly details?: Readonly<Record<string, unknown>>
}

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`)
}

export function printJson(value: unknown): void {
  process.stdout.write(jsonLine(value))
}

export function note(message: string): void {
  process.stderr.write(`${message}\n`)
}

/** Says what people should know and what ends nothing: a line of text, or of JSON with --json. */
export type Warn = (message: string) => void

/** What was said within this time is not said again. */
const REPEAT_MS = 30_000

export function warner(json: boolean): Warn {
  const label = styleText('yellow', 'warning', { stream: process.stderr })
  let last = ''
  let saidMs = 0
  return (message) => {
    // The same trouble shows in several places: in the transport, and in what waits for it.
    const nowMs = performance.now()
    if (message === last && nowMs - saidMs < REPEAT_MS) return
    last = message
    saidMs = nowMs
    if (json) process.stderr.write(jsonLine({ warning: message }))
    else note(`${label}: ${message}`)
  }
}

/** Prints what went wrong and returns the exit code that says so. */
export function reportError(error: unknown, json: boolean): number {
  if (isEpipe(error)) return EXIT.ok
  if (error instanceof Error && error.name === 'AbortError') return EXIT.interrupted
  if (!isCoded(error)) {
    // Not foreseen: the stack is what a maintainer needs.
    note(error instanceof Error ? (error.stack ?? error.message) : String(error))
    return EXIT.failed
  }
  const { code, details = {} } = error
  const message = messageOf(error)
  if (json) process.stderr.write(jsonLine({ error: { code, message, details } }))
  else note(`${styleText('red', code, { stream: process.stderr })}: ${message}`)
  // A file that was found broken when the first part of it was published: something was begun.
  const isBegun = details['published'] !== undefined
  return USAGE_CODES.has(code) && !isBegun ? EXIT.usage : EXIT.failed
}

/** What commander found wrong with the words of a command line, as an error of ours. */
export function usageError(error: CommanderError, verb: string): UsageError {
  const said = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ')
  return new UsageError(`${said.replace(/\.$/, '')}: see skein ${verb} --help`.replace('  ', ' '))
}

/**
 * `skein … | head` ends the reader: that is no failure of ours to shout about. What had failed by then
 * has failed all the same.
 */
export function endQuietlyOnEpipe(): void {
  process.stdout.on('error', (error) => {
    if (isEpipe(error)) process.exit(process.exitCode ?? EXIT.ok)
    throw error
  })
  // Nobody reads what is said about the work: the work goes on.
  process.stderr.on('error', (error) => {
    if (!isEpipe(error)) throw error
  })
}

/** A whole number from `least` on, or what is wrong with the flag. @throws UsageError. */
export function wholeNumber(flag: string, text: string, least = 1): number {
  const number = Number(text)
  if (/^\d+$/.test(text.trim()) && Number.isSafeInteger(number) && number >= least) return number
  throw new UsageError(`${flag} ${text} is not a whole number from ${least} on`)
}

/** Node.js begins the message of a system error with its code, which stands there already. */
function messageOf({ code, message }: CodedError): string {
  return message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message
}

function isCoded(error: unknown): error is CodedError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
}

function isEpipe(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EPIPE'
}
