// Errors of the node layer: programs that are configured, started and stopped. Codes are public API,
// messages are not; the table with what to do about each is docs/errors.md.

export const NODE_ERROR_CODES = [
  'CONFIG_INVALID',
  'CONFIG_NOT_FOUND',
  'CONFIG_UNREADABLE',
  'NODE_START_FAILED',
  'NODE_ADDRESS_IN_USE',
  'NODE_STOP_TIMEOUT',
] as const

export type NodeErrorCode = (typeof NODE_ERROR_CODES)[number]

export interface NodeErrorOptions {
  retryable?: boolean
  cause?: unknown
  /** Plain facts about the failure, for logs and JSON output. */
  details?: Readonly<Record<string, unknown>>
}

export class NodeError extends Error {
  override readonly name = 'NodeError'
  readonly code: NodeErrorCode
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: NodeErrorCode, message: string, options: NodeErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    this.details = options.details ?? {}
  }
}
