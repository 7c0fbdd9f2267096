// Whole numbers packed at one width, low bits first, without gaps between them: byte i holds bits
// 8i..8i+7. The inner loops of the columnar codec, so plain and branch-free where it counts.
//
//   width 5:  value 0 in bits 0-4, value 1 in bits 5-9, …     the last byte is padded with zeros
//
// Up to CHUNK bits go through a 32-bit accumulator that holds up to 7 bits more. Wider values are
// split into chunks: low, middle, high.
import { type ByteReader, type ByteWriter, corrupt } from './bytes.ts'

const CHUNK = 24
const CHUNK_SIZE = 0x100_0000

/** Bits needed for a whole number from 0 to 2^53 - 1. */
export function bitWidth(value: number): number {
  if (value < 0x1_0000_0000) return 32 - Math.clz32(value)
  return 64 - Math.clz32(Math.floor(value / 0x1_0000_0000))
}

export function packedBytes(count: number, width: number): number {
  return Math.ceil((count * width) / 8)
}

/** Packs values[from..to) less `base`, each at `width` bits (0 to 53). */
export function pack(
  out: ByteWriter,
  values: Float64Array,
  from: number,
  to: number,
  base: number,
  width: number,
): void {
  if (width === 0) return
  out.ensure(packedBytes(to - from, width) + 1)
  const { bytes } = out
  let { at } = out
  let bits = 0
  let used = 0
  if (width <= CHUNK) {
    for (let i = from; i < to; i++) {
      bits |= (values[i]! - base) << used
      used += width
      while (used >= 8) {
        bytes[at++] = bits
        bits >>>= 8
        used -= 8
      }
    }
  } else {
    for (let i = from; i < to; i++) {
      let rest = values[i]! - base
      for (let left = width; left > 0; left -= CHUNK) {
        bits |= (rest % CHUNK_SIZE) << used
        rest = Math.floor(rest / CHUNK_SIZE)
        used += left < CHUNK ? left : CHUNK
        while (used >= 8) {
          bytes[at++] = bits
          bits >>>= 8
          used -= 8
        }
      }
    }
  }
  if (used > 0) bytes[at++] = bits
  out.at = at
}

/**
 * The reverse of pack, into values[from..to), without the base.
 * @throws MeshError MESH_BODY_CORRUPT when the input is too short.
 */
export function unpack(
  input: ByteReader,
  values: Float64Array,
  from: number,
  to: number,
  width: number,
): void {
  if (width === 0) {
    values.fill(0, from, to)
    return
  }
  let at = input.skip(packedBytes(to - from, width))
  const { bytes } = input
  let bits = 0
  let held = 0
  if (width <= CHUNK) {
    const mask = (1 << width) - 1
    for (let i = from; i < to; i++) {
      while (held < width) {
        bits |= bytes[at++]! << held
        held += 8
      }
      values[i] = bits & mask
      bits >>>= width
      held -= width
    }
    return
  }
  for (let i = from; i < to; i++) {
    let value = 0
    let scale = 1
    for (let left = width; left > 0; left -= CHUNK) {
      const part = left < CHUNK ? left : CHUNK
      while (held < part) {
        bits |= bytes[at++]! << held
        held += 8
      }
      value += (bits & ((1 << part) - 1)) * scale
      scale *= CHUNK_SIZE
      bits >>>= part
      held -= part
    }
    values[i] = value
  }
}

/** The width in front of packed values. @throws MeshError MESH_BODY_CORRUPT when above `most`. */
export function readWidth(input: ByteReader, most: number): number {
  const width = input.u8()
  if (width > most) throw corrupt(`width ${width} exceeds ${most}`)
  return width
}
