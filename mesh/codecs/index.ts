// The codecs by the name in the frame header. Samples are plain objects; what no codec could return
// as it was (a value of another type, a time that is no microsecond, half a surrogate pair in a
// string or a field name) is refused with MESH_SAMPLE_INVALID, never changed.
import type { Codec } from '../codec.ts'
import { MeshError } from '../errors.ts'
import type { CodecName } from '../frame.ts'
import { createColumnarCodec } from './columnar.ts'
import { jsonCodec } from './json.ts'
import { msgpackCodec } from './msgpack.ts'
import { protobufCodec } from './protobuf.ts'

export { newestOf, newestSample } from './newest.ts'
export { columnarTimes, createColumnarCodec } from './columnar.ts'
export type { ColumnarOptions } from './columnar.ts'

/** One each: a codec keeps its scratch arrays from call to call, and no call waits for another. */
const CODEC_BY_NAME: Readonly<Partial<Record<CodecName, Codec>>> = {
  columnar: createColumnarCodec(),
  msgpack: msgpackCodec,
  json: jsonCodec,
  protobuf: protobufCodec,
}

/** @throws MeshError MESH_CODEC_UNKNOWN for `none`. */
export function codecFor(name: CodecName): Codec {
  const codec = CODEC_BY_NAME[name]
  if (codec !== undefined) return codec
  throw new MeshError('MESH_CODEC_UNKNOWN', `no codec for bodies of type ${name}`)
}
