// Errors of the sim layer. Codes are public API, messages are not. Wrong arguments are TypeError or
// RangeError and carry no code. A single bad row of a recording is not an error but a RowRefusal
// (replay/rows.ts), unless the user asked for strict reading.

export const SIM_ERROR_CODES = [
  'SIM_MAPPING_INVALID',
  'SIM_FILE_NOT_FOUND',
  'SIM_FILE_FORMAT',
  'SIM_FILE_CHANGED',
  'SIM_ROW_REFUSED',
] as const

export type SimErrorCode = (typeof SIM_ERROR_CODES)[number]

export interface SimErrorOptions {
  retryable?: boolean
  cause?: unknown
  /** Plain facts about the failure, for logs and JSON output. */
  details?: Readonly<Record<string, unknown>>
}

export class SimError extends Error {
  override readonly name = 'SimError'
  readonly code: SimErrorCode
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: SimErrorCode, message: string, options: SimErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    this.details = options.details ?? {}
  }
}
