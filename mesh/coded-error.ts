// What the errors of all layers have in common. Each layer has its own class and list of codes.

export interface CodedErrorOptions {
  /** The same call may succeed later, unchanged. */
  retryable?: boolean
  cause?: unknown
  /** Plain facts about the failure, for logs and JSON output. */
  details?: Readonly<Record<string, unknown>>
}

export abstract class CodedError<Code extends string> extends Error {
  /** Public API, unlike the message; docs/errors.md says what to do about each. */
  readonly code: Code
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: Code, message: string, options: CodedErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    this.details = options.details ?? {}
  }
}
