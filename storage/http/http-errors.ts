// Every error leaves as {"error":{"code","message","details"}} with the status that fits. Codes are
// those of storage/errors.ts, and the HTTP_ ones below for what never reached a handler.
import { messageOf, StorageError, type StorageErrorCode } from '../errors.ts'

export interface ErrorBody {
  readonly error: {
    readonly code: string
    readonly message: string
    readonly details?: Readonly<Record<string, unknown>>
  }
}

export class HttpError extends Error {
  override readonly name = 'HttpError'
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

const STATUS: Readonly<Partial<Record<StorageErrorCode, number>>> = {
  QUERY_INVALID: 400,
  QUERY_STREAM_UNKNOWN: 404,
  QUERY_NO_PEER: 503,
  QUERY_TIMEOUT: 504,
}

export function toErrorAnswer(error: unknown): { status: number; body: ErrorBody } {
  if (error instanceof StorageError) {
    const { code, message, details } = error
    return { status: STATUS[code] ?? 503, body: { error: { code, message, details } } }
  }
  if (error instanceof HttpError) {
    return { status: error.status, body: { error: { code: error.code, message: error.message } } }
  }
  const { statusCode, code } = error as { statusCode?: number; code?: string }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return answer(413, 'HTTP_BODY_TOO_LARGE', 'the body is larger than this route takes')
  }
  const message = messageOf(error)
  if (statusCode !== undefined && statusCode < 500) {
    return answer(statusCode, 'HTTP_BAD_REQUEST', message)
  }
  return answer(500, 'HTTP_INTERNAL', message)
}

function answer(
  status: number,
  code: string,
  message: string,
): { status: number; body: ErrorBody } {
  return { status, body: { error: { code, message } } }
}
