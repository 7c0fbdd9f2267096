// Errors of the sim layer. Codes are public API, messages are not. Wrong arguments are TypeError or
// RangeError and carry no code. A single bad row of a recording is not an error but a RowRefusal
// (replay/rows.ts), unless the user asked for strict reading.
import { CodedError } from '../mesh/index.ts'

export const SIM_ERROR_CODES = [
  'SIM_MAPPING_INVALID',
  'SIM_FILE_NOT_FOUND',
  'SIM_FILE_FORMAT',
  'SIM_FILE_CHANGED',
  'SIM_ROW_REFUSED',
] as const

export type SimErrorCode = (typeof SIM_ERROR_CODES)[number]

export class SimError extends CodedError<SimErrorCode> {
  override readonly name = 'SimError'
}
