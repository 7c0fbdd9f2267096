// How sim/ puts a suggestion into a message: mapping keys, units, columns, codecs.
import { nearestName } from '../../mesh/index.ts'

/** `, did you mean "x"?`, or nothing. */
export function suggestion(typed: string, known: readonly string[]): string {
  const nearest = nearestName(typed, known)
  return nearest === undefined ? '' : `, did you mean ${JSON.stringify(nearest)}?`
}
