// What can go wrong with a system we run for tests, benchmarks and first steps. Codes are for programs;
// the messages say what, where and what to do.

export const SYSTEM_ERROR_CODES = [
  /** A program that installing or running needs is not on the PATH. */
  'SYSTEM_TOOL_MISSING',
  'SYSTEM_TOOL_TOO_OLD',
  /** Names the command that installs it. */
  'SYSTEM_NOT_INSTALLED',
  'SYSTEM_INSTALL_FAILED',
  'SYSTEM_PORT_TAKEN',
  /** Somebody runs it already, or on this data. */
  'SYSTEM_RUNNING',
  'SYSTEM_NOT_RUNNING',
  /** It ended, or did not answer in time; the message ends with what it said last. */
  'SYSTEM_START_FAILED',
] as const

export type SystemErrorCode = (typeof SYSTEM_ERROR_CODES)[number]

export class SystemError extends Error {
  override readonly name = 'SystemError'
  readonly code: SystemErrorCode

  constructor(code: SystemErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
