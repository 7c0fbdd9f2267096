// The newest sample of a frame, for who keeps one of each source.
import type { Codec, IndexedSample } from '../codec.ts'
import type { Sample } from '../sample.ts'
import type { Schema } from '../schema.ts'

/**
 * The sample of a body with the greatest time, of equal ones the last; undefined when it holds none.
 * @throws MeshError MESH_BODY_CORRUPT when the bytes are not such a body.
 */
export function newestSample(
  codec: Codec,
  body: Uint8Array,
  count: number,
  schema: Schema,
): IndexedSample | undefined {
  return codec.newest === undefined
    ? newestOf(codec.decode(body, count, schema))
    : codec.newest(body, count, schema)
}

export function newestOf(samples: readonly Sample[]): IndexedSample | undefined {
  if (samples.length === 0) return undefined
  const times = samples.map(({ timeUs }) => timeUs)
  const index = newestRow(times, times.length)
  return { index, sample: samples[index]! }
}

/** Where the greatest of the first `count` times is, of equal ones the last. */
export function newestRow(times: ArrayLike<number>, count: number): number {
  let newest = 0
  for (let row = 1; row < count; row++) if (times[row]! >= times[newest]!) newest = row
  return newest
}
