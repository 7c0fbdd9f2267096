// What a verb prints: results to stdout, one JSON document or line per result with --json; everything
// said about the work (progress, warnings, errors) to stderr.
import { styleText } from 'node:util'
import { EXIT } from './exit-codes.ts'

/** An error whose cause is the input, by code: the user can mend it, a stack would not help. */
const USAGE_CODES = new Set([
  ...['CONFIG_INVALID', 'CONFIG_NOT_FOUND', 'CONFIG_UNREADABLE', 'QUERY_INVALID'],
  ...['SIM_MAPPING_INVALID', 'SIM_FILE_NOT_FOUND', 'MESH_ADDRESS_INVALID', 'MESH_SCHEMA_INVALID'],
  ...['CLI_USAGE'],
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
  printLine(JSON.stringify(value))
}

export function note(message: string): void {
  process.stderr.write(`${message}\n`)
}

export function warn(message: string): void {
  note(`${styleText('yellow', 'warning', { stream: process.stderr })}: ${message}`)
}

/** Prints what went wrong and returns the exit code that says so. */
export function reportError(error: unknown, json: boolean): number {
  if (isEpipe(error)) return EXIT.interrupted
  if (!isCoded(error)) {
    // Not foreseen: the stack is what a maintainer needs.
    note(error instanceof Error ? (error.stack ?? error.message) : String(error))
    return EXIT.failed
  }
  const { code, message, details = {} } = error
  if (json) note(JSON.stringify({ error: { code, message, details } }))
  else note(`${styleText('red', code, { stream: process.stderr })}: ${message}`)
  return USAGE_CODES.has(code) ? EXIT.usage : EXIT.failed
}

/** `skein … | head` ends the reader: that is no failure of ours to shout about. */
export function endQuietlyOnEpipe(): void {
  process.stdout.on('error', (error) => {
    if (isEpipe(error)) process.exit(EXIT.ok)
    throw error
  })
}

function isCoded(error: unknown): error is CodedError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
}

function isEpipe(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EPIPE'
}
