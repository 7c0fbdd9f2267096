// Errors of the node layer: programs that are configured, started and stopped. Codes are public API,
// messages are not; the table with what to do about each is docs/errors.md.
import { CodedError } from '../mesh/index.ts'

export const NODE_ERROR_CODES = [
  'CONFIG_INVALID',
  'CONFIG_NOT_FOUND',
  'CONFIG_UNREADABLE',
  'NODE_START_FAILED',
  'NODE_ADDRESS_IN_USE',
  'NODE_STOP_TIMEOUT',
] as const

export type NodeErrorCode = (typeof NODE_ERROR_CODES)[number]

export class NodeError extends CodedError<NodeErrorCode> {
  override readonly name = 'NodeError'
}
