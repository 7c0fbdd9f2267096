// What every codec refuses, on the way in and on the way out.
import { MeshError } from '../errors.ts'
import { FRAME_SAMPLES_MAX } from '../frame.ts'
import type { Sample, Value } from '../sample.ts'

/** Most samples times fields in one body: what a hostile body of a few bytes could expand to. */
export const CELLS_MAX = 1 << 21

/** @throws RangeError when a frame cannot hold so many samples. */
export function checkCount(count: number): void {
  if (!Number.isInteger(count) || count < 0 || count > FRAME_SAMPLES_MAX) {
    throw new RangeError(`sample count ${count} is not in 0..${FRAME_SAMPLES_MAX}`)
  }
}

/** @throws MeshError MESH_SAMPLE_INVALID unless a non-negative safe integer. */
export function checkTime(timeUs: number): number {
  if (Number.isSafeInteger(timeUs) && timeUs >= 0) return timeUs
  throw new MeshError(
    'MESH_SAMPLE_INVALID',
    `sample time ${timeUs} is not a non-negative safe integer of microseconds`,
  )
}

/** @throws MeshError MESH_SAMPLE_INVALID for a sample that no codec could return as it was. */
export function checkSample({ timeUs, fields }: Sample): void {
  checkTime(timeUs)
  for (const [name, value] of Object.entries(fields)) {
    if (!name.isWellFormed()) refuseText('a field name')
    if (!isValue(value)) refuse(name, value)
    if (typeof value === 'string' && !value.isWellFormed()) {
      refuseText(`field ${JSON.stringify(name)}`)
    }
  }
}

export function isValue(value: unknown): value is Value {
  return typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean'
}

export function refuse(name: string, value: unknown): never {
  const kind = value === null ? 'null' : typeof value
  throw new MeshError(
    'MESH_SAMPLE_INVALID',
    `field ${JSON.stringify(name)} is ${kind}, wanted is a number, a string or a boolean`,
  )
}

/** Half a surrogate pair has no UTF-8; replacing it would break the promise to return what came in. */
export function refuseText(what: string): never {
  throw new MeshError('MESH_SAMPLE_INVALID', `${what} is not well-formed Unicode`)
}

export function cellsTooMany(cells: number): MeshError {
  return new MeshError(
    'MESH_FRAME_TOO_LARGE',
    `${cells} values (samples times fields) in one frame exceed ${CELLS_MAX}`,
  )
}
