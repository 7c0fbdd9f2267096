// Errors of the storage layer. Codes are public API; docs/errors.md says what to do about each.

export const STORAGE_ERROR_CODES = [
  'STORE_IN_USE',
  'STORE_WRONG_MESH',
  'STORE_FORMAT_UNKNOWN',
  'STORE_DAMAGED',
  'STORE_DISK_FULL',
  'STORE_WRITE_FAILED',
  'STORE_CLOSED',
  'QUERY_INVALID',
  'QUERY_STREAM_UNKNOWN',
  'QUERY_NO_PEER',
  'QUERY_TIMEOUT',
] as const

export type StorageErrorCode = (typeof STORAGE_ERROR_CODES)[number]

export interface StorageErrorOptions {
  retryable?: boolean
  cause?: unknown
  /** Plain facts about the failure, for logs and JSON output. */
  details?: Readonly<Record<string, unknown>>
}

export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: StorageErrorCode
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: StorageErrorCode, message: string, options: StorageErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    this.details = options.details ?? {}
  }
}
