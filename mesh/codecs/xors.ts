// Numbers that are no decimal fractions, each as the bits that differ from the one before, in the
// window of bits that differ anywhere in the column: float32 readings stored as float64 share their
// last 29 bits, readings of one magnitude their first ten.
//
//   head | first f64 | shift u8 | width u8 | low words, packed | high words, packed
import { pack, readWidth, unpack } from './bits.ts'
import { type ByteReader, type ByteWriter, corrupt } from './bytes.ts'

/** XOR windows wider than this save less than they cost in time. */
const XOR_WIDTH_MAX = 56

/** Which half of a float64 in memory is the low one: the wire is little-endian, hosts need not be. */
const LOW = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 0 : 1
const HIGH = 1 - LOW

/**
 * Appends values[from..to), at least one, after `head`. Returns false, having written nothing, when
 * they are better stored raw. `lows` and `highs` are scratch for as many values.
 */
export function writeXors(
  out: ByteWriter,
  head: number,
  values: Float64Array,
  from: number,
  to: number,
  lows: Float64Array,
  highs: Float64Array,
): boolean {
  const count = to - from
  const words = new Uint32Array(values.buffer, values.byteOffset + from * 8, count * 2)
  let low = 0
  let high = 0
  for (let i = 2; i < words.length; i += 2) {
    low |= words[i + LOW]! ^ words[i + LOW - 2]!
    high |= words[i + HIGH]! ^ words[i + HIGH - 2]!
  }
  const leading = high !== 0 ? Math.clz32(high) : 32 + Math.clz32(low)
  const trailing = low !== 0 ? trailingZeros(low) : 32 + trailingZeros(high)
  const width = leading === 64 ? 0 : 64 - leading - trailing
  if (count === 1 || width > XOR_WIDTH_MAX) return false
  const shift = width === 0 ? 0 : trailing
  for (let i = 1; i < count; i++) {
    const lowXor = words[2 * i + LOW]! ^ words[2 * i + LOW - 2]!
    const highXor = words[2 * i + HIGH]! ^ words[2 * i + HIGH - 2]!
    lows[i] = (shift < 32 ? shiftPair(lowXor, highXor, shift) : highXor >>> (shift - 32)) >>> 0
    highs[i] = shift < 32 ? highXor >>> shift : 0
  }
  out.u8(head)
  out.f64(values[from]!)
  out.u8(shift)
  out.u8(width)
  pack(out, lows, 1, count, 0, Math.min(width, 32))
  if (width > 32) pack(out, highs, 1, count, 0, width - 32)
  return true
}

/** The low word of (high, low) >> shift, for shifts below 32. */
function shiftPair(low: number, high: number, shift: number): number {
  return shift === 0 ? low : (low >>> shift) | (high << (32 - shift))
}

function trailingZeros(word: number): number {
  return word === 0 ? 32 : 31 - Math.clz32(word & -word)
}

/** @throws MeshError MESH_BODY_CORRUPT when they are not there. */
export function readXors(input: ByteReader, values: Float64Array, count: number): void {
  const first = input.f64()
  const shift = input.u8()
  const width = readWidth(input, 64)
  if (shift + width > 64) throw corrupt(`XOR window of ${width} bits, shifted by ${shift}`)
  const highs = new Float64Array(width > 32 ? count : 0)
  unpack(input, values, 1, count, Math.min(width, 32))
  if (width > 32) unpack(input, highs, 1, count, width - 32)
  const words = new Uint32Array(values.buffer, values.byteOffset, count * 2)
  values[0] = first
  for (let i = 1; i < count; i++) {
    const low = values[i]!
    const high = width > 32 ? highs[i]! : 0
    // Each word is taken from the pair shifted left; a shift by 32 or more moves low into high.
    const lowXor = shift < 32 ? low << shift : 0
    const highXor = shift < 32 ? (high << shift) | spill(low, shift) : low << (shift - 32)
    words[2 * i + LOW] = words[2 * i + LOW - 2]! ^ lowXor
    words[2 * i + HIGH] = words[2 * i + HIGH - 2]! ^ highXor
  }
}

/** The bits of `low` that a shift to the left pushes into the word above. */
function spill(low: number, shift: number): number {
  return shift === 0 ? 0 : low >>> (32 - shift)
}
