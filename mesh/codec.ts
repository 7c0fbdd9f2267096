// How the samples of a frame become its body and come back, exactly. One file per codec in
// mesh/codecs/; this is what they share.
import type { CodecName } from './frame.ts'
import type { Sample } from './sample.ts'
import type { Schema } from './schema.ts'

export interface IndexedSample {
  /** Which sample of its frame. */
  readonly index: number
  readonly sample: Sample
}

export interface Codec {
  readonly name: CodecName
  /**
   * The body for these samples, in this order. Exact for floats bit for bit, integers to 2^53,
   * booleans, strings, missing fields and samples whose field sets differ.
   * A field the schema does not name is kept all the same. The bytes are the codec's, until the next call.
   */
  encode(samples: readonly Sample[], schema: Schema): Uint8Array
  /**
   * The samples again. `body` comes from the network or an old disk: every length is checked.
   * @throws MeshError MESH_BODY_CORRUPT when the bytes are not such a body.
   */
  decode(body: Uint8Array, count: number, schema: Schema): Sample[]
  /** As newestSample (codecs/newest.ts), where it can be had without making all of them. */
  newest?(body: Uint8Array, count: number, schema: Schema): IndexedSample | undefined
}
