// Errors of the storage layer. Codes are public API; docs/errors.md says what to do about each.
import { CodedError } from '../mesh/index.ts'

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

export class StorageError extends CodedError<StorageErrorCode> {
  override readonly name = 'StorageError'
}

/** What anything that was thrown says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
