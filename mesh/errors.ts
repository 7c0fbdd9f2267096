// Errors of the mesh layer. Codes are public API, messages are not; the table with what to do about
// each is docs/errors.md. Wrong arguments are TypeError or RangeError and carry no code.
import { CodedError } from './coded-error.ts'

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

export class MeshError extends CodedError<MeshErrorCode> {
  override readonly name = 'MeshError'
}
