// How storage/ puts a suggestion after a message.
import { nearestName } from '../mesh/index.ts'

/** ` Did you mean "x"?`, or nothing. */
export function didYouMean(wanted: string, names: Iterable<string>): string {
  const nearest = nearestName(wanted, names)
  return nearest === undefined ? '' : ` Did you mean ${JSON.stringify(nearest)}?`
}
