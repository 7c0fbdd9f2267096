// The default codec: a typed column per field (docs/wire-format.md, "Columnar"). It encodes on the hot
// path of every publisher, so it makes one pass over the samples into scratch arrays that are kept
// from frame to frame, and then writes each column in the cheapest coding that is exact.
//
//   | flags | times | columns | column | column | …         flags 1: what follows is one zstd frame
//                               | field, kind | bitmap of the rows that have it | values |
//
// Columns of schema fields come first, in the schema's order, then others as first seen: the bytes
// depend on the samples and the schema alone, never on what was encoded before.
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { Codec } from '../codec.ts'
import { ByteReader, type ByteWriter, corrupt } from './bytes.ts'
import { ColumnarDecoder } from './columnar-decoder.ts'
import { ColumnarEncoder } from './columnar-encoder.ts'
import { checkCount } from './limits.ts'

export interface ColumnarOptions {
  /** Adds zstd over the whole body where that makes it smaller; costs about 20 µs a frame. */
  readonly compress?: boolean
}

const FLAG_ZSTD = 1
/** Most bytes a compressed body may become; a raw one is bounded by the frame. */
const BODY_BYTES_MAX = 1 << 24
/** zstd lets a stranger's frame claim a window of 128 MiB, allocated before the first byte is out. */
const ZSTD_LIMITS = {
  maxOutputLength: BODY_BYTES_MAX,
  params: { [constants.ZSTD_d_windowLogMax]: 24 },
}

export function createColumnarCodec(options: ColumnarOptions = {}): Codec {
  const encoder = new ColumnarEncoder()
  const decoder = new ColumnarDecoder()
  return {
    name: 'columnar',
    encode(samples, schema) {
      checkCount(samples.length)
      const out = encoder.encode(samples, schema)
      return options.compress === true ? compressed(out) : out.view()
    },
    decode(body, count, schema) {
      checkCount(count)
      return decoder.decode(openBody(body), count, schema)
    },
    newest(body, count, schema) {
      checkCount(count)
      return count === 0 ? undefined : decoder.newest(openBody(body), count, schema)
    },
  }
}

const decoder = new ColumnarDecoder()

/**
 * The times of a columnar body of `count` rows, in µs, without its columns.
 * @throws MeshError MESH_BODY_CORRUPT when it holds none.
 */
export function columnarTimes(body: Uint8Array, count: number): Float64Array {
  checkCount(count)
  if (count === 0) return new Float64Array(0)
  return decoder.readTimes(openBody(body), count).slice(0, count)
}

function compressed(out: ByteWriter): Uint8Array {
  const size = out.at - 1
  if (size > BODY_BYTES_MAX) return out.view()
  const packed = zstdCompressSync(out.bytes.subarray(1, out.at))
  return packed.length < size ? Buffer.concat([Uint8Array.of(FLAG_ZSTD), packed]) : out.view()
}

function openBody(body: Uint8Array): ByteReader {
  const input = new ByteReader(body)
  const flags = input.u8()
  if (flags === 0) return input
  if (flags !== FLAG_ZSTD) throw corrupt(`flags ${flags}`)
  try {
    return new ByteReader(zstdDecompressSync(input.bytes.subarray(1), ZSTD_LIMITS))
  } catch (cause) {
    throw corrupt('zstd', cause)
  }
}
