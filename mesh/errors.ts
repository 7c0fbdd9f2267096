// Errors of the mesh layer. Codes are public API, messages are not; the table with what to do about
// each is docs/errors.md. Wrong arguments are TypeError or RangeError and carry no code.

export const MESH_ERROR_CODES = [
  'MESH_FRAME_CORRUPT',
  'MESH_FRAME_TOO_LARGE',
  'MESH_CODEC_UNKNOWN',
  'MESH_BODY_CORRUPT',
  'MESH_SCHEMA_INVALID',
  'MESH_SAMPLE_INVALID',
  'MESH_TRANSPORT_CLOSED',
  'MESH_TRANSPORT_UNKNOWN',
  'MESH_MESSAGE_TOO_LARGE',
  'MESH_ADDRESS_IN_USE',
  'MESH_ADDRESS_INVALID',
  'MESH_OUTBOX_DAMAGED',
  'MESH_OUTBOX_IN_USE',
  'MESH_OUTBOX_WRITE_FAILED',
  'MESH_PUBLISHER_CLOSED',
  'MESH_MISMATCH',
] as const

export type MeshErrorCode = (typeof MESH_ERROR_CODES)[number]

export interface MeshErrorOptions {
  retryable?: boolean
  cause?: unknown
  /** Plain facts about the failure, for logs and JSON output. */
  details?: Readonly<Record<string, unknown>>
}

export class MeshError extends Error {
  override readonly name = 'MeshError'
  readonly code: MeshErrorCode
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: MeshErrorCode, message: string, options: MeshErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    this.details = options.details ?? {}
  }
}
