// One column of numbers, bit for bit (docs/wire-format.md, "Numbers"). Telemetry is mostly decimal
// fractions that a sensor rounded, so the first try is: the least k from 0 to 9 at which every value
// is a whole number over 10^k, then the steps (or the values) above the least, bit-packed. What is not
// decimal is XOR-ed with its predecessor and packed in the window of bits that ever change, or
// stored raw. NaN, infinities and -0 among decimal values are listed apart, so that one NaN does not
// cost the column its scale.
//
//   | coding, scale | what the coding needs: first, least step, width … | packed | specials |
import { bitWidth, pack, readWidth, unpack } from './bits.ts'
import { type ByteReader, type ByteWriter, corrupt } from './bytes.ts'
import { readXors, writeXors } from './xors.ts'

const RAW = 0
const STEPS = 1
const OFFSETS = 2
const VARINTS = 3
const XORS = 4
const CODING_MASK = 0x07
const HAS_SPECIALS = 0x08
const SCALE_SHIFT = 4

/** GPS receivers give up to seven decimals, surveying ones nine. */
const SCALE_MAX = 9
const POWERS = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]
const WHOLE_MAX = Number.MAX_SAFE_INTEGER
/** A special costs about 10 bytes against 8 raw: above one in four the column is not worth a scale. */
const SPECIALS_PART = 4
/** Below this width a varint per value, at least 8 bits, cannot win by much. */
const VARINT_WIDTH_MIN = 12
/**
 * Scratch for columns of numbers, kept from frame to frame: encoding allocates nothing.
 * One per codec; not for two calls at a time.
 */
export class NumberScratch {
  /** Values over 10^scale, later low words. */
  whole = new Float64Array(256)
  /** Steps from value to value, later high words. */
  steps = new Float64Array(256)
  specials = new Uint16Array(256)
  specialCount = 0
  scale = 0
  least = 0
  greatest = 0
  leastStep = 0
  greatestStep = 0

  ensure(count: number): void {
    if (count <= this.whole.length) return
    this.whole = new Float64Array(count)
    this.steps = new Float64Array(count)
    this.specials = new Uint16Array(count)
  }
}

/** Appends values[from..to), at least one; the cheapest coding that is exact. */
export function writeNumbers(
  out: ByteWriter,
  values: Float64Array,
  from: number,
  to: number,
  scratch: NumberScratch,
): void {
  scratch.ensure(to - from)
  if (!(scaleToWhole(values, from, to, scratch) && writeWhole(out, to - from, scratch))) {
    const { whole: lows, steps: highs } = scratch
    if (!writeXors(out, XORS, values, from, to, lows, highs)) writeRaw(out, values, from, to)
    return
  }
  if (scratch.specialCount === 0) return
  out.varint(scratch.specialCount)
  let previous = 0
  for (let i = 0; i < scratch.specialCount; i++) {
    const position = scratch.specials[i]!
    out.varint(position - previous)
    out.f64(values[from + position]!)
    previous = position
  }
}

/**
 * Reads `count` numbers into values[0..count).
 * @throws MeshError MESH_BODY_CORRUPT when they are not there.
 */
export function readNumbers(input: ByteReader, values: Float64Array, count: number): void {
  const head = input.u8()
  const coding = head & CODING_MASK
  const scale = head >> SCALE_SHIFT
  const hasSpecials = (head & HAS_SPECIALS) !== 0
  const isWhole = coding === STEPS || coding === OFFSETS || coding === VARINTS
  if (scale > SCALE_MAX || (!isWhole && head !== coding)) throw corrupt(`numbers coded as ${head}`)
  if (coding === RAW) readRaw(input, values, count)
  else if (coding === STEPS) readSteps(input, values, count)
  else if (coding === OFFSETS) readOffsets(input, values, count)
  else if (coding === VARINTS) readVarints(input, values, count)
  else if (coding === XORS) readXors(input, values, count)
  else throw corrupt(`numbers coded as ${head}`)
  if (scale > 0) {
    const power = POWERS[scale]!
    for (let i = 0; i < count; i++) values[i] = values[i]! / power
  }
  if (hasSpecials) readSpecials(input, values, count)
}

/**
 * Finds the least scale at which all values but the specials are whole, and fills `whole` and
 * `steps` with their ranges. A special takes the value before it, so that its step is zero.
 */
function scaleToWhole(
  values: Float64Array,
  from: number,
  to: number,
  scratch: NumberScratch,
): boolean {
  let scale = 0
  for (;;) {
    const stoppedAt = scaleAt(scale, values, from, to, scratch)
    if (stoppedAt === to) return true
    if (stoppedAt < 0) return false
    // A value that is whole at one scale is so at the next: go on where this one first fits.
    do scale++
    while (scale <= SCALE_MAX && !isWholeAt(values[stoppedAt]!, POWERS[scale]!))
    if (scale > SCALE_MAX) return false
  }
}

/** Returns `to` when done, the index of a value that needs a larger scale, or -1 to give up. */
function scaleAt(
  scale: number,
  values: Float64Array,
  from: number,
  to: number,
  scratch: NumberScratch,
): number {
  const { whole, steps, specials } = scratch
  const power = POWERS[scale]!
  let specialCount = 0
  let started = false
  let previous = 0
  let least = 0
  let greatest = 0
  let leastStep = 0
  let greatestStep = 0
  for (let i = from; i < to; i++) {
    const value = values[i]!
    let n = Math.round(value * power)
    if (n / power !== value || n > WHOLE_MAX || n < -WHOLE_MAX || Object.is(n, -0)) {
      if (Number.isFinite(value) && value !== 0) return i
      specials[specialCount++] = i - from
      if (specialCount * SPECIALS_PART > to - from) return -1
      n = previous
    } else if (!started) {
      // The first plain value; specials before it take its value too.
      started = true
      whole.fill(n, 0, i - from)
      previous = least = greatest = n
      leastStep = Infinity
      greatestStep = -Infinity
      if (i > from) leastStep = greatestStep = 0
    }
    whole[i - from] = n
    if (i > from) {
      const step = n - previous
      steps[i - from] = step
      if (step < leastStep) leastStep = step
      if (step > greatestStep) greatestStep = step
      if (n < least) least = n
      if (n > greatest) greatest = n
    }
    previous = n
  }
  scratch.specialCount = specialCount
  scratch.scale = scale
  scratch.least = least
  scratch.greatest = greatest
  scratch.leastStep = leastStep
  scratch.greatestStep = greatestStep
  return to
}

function isWholeAt(value: number, power: number): boolean {
  const n = Math.round(value * power)
  return n / power === value && n <= WHOLE_MAX && n >= -WHOLE_MAX
}

/** Returns false when the whole numbers lie too far apart to subtract exactly. */
function writeWhole(out: ByteWriter, count: number, scratch: NumberScratch): boolean {
  const { whole, steps, least, greatest, leastStep, greatestStep } = scratch
  const special = scratch.specialCount > 0 ? HAS_SPECIALS : 0
  const head = special | (scratch.scale << SCALE_SHIFT)
  if (count === 1) {
    out.u8(head | STEPS)
    out.signed(whole[0]!)
    return true
  }
  const stepsExact = leastStep >= -WHOLE_MAX && greatestStep <= WHOLE_MAX
  const stepRange = greatestStep - leastStep
  const range = greatest - least
  const stepBits = stepsExact && stepRange <= WHOLE_MAX ? bitWidth(stepRange) : Infinity
  const bits = range <= WHOLE_MAX ? bitWidth(range) : Infinity
  const packed = Math.min((count - 1) * stepBits, count * bits) / 8
  if (packed === Infinity) return false
  if (stepsExact && Math.min(stepBits, bits) >= VARINT_WIDTH_MIN) {
    if (varintBytes(whole[0]!, steps, count) < packed) {
      out.u8(head | VARINTS)
      out.signed(whole[0]!)
      for (let i = 1; i < count; i++) out.signed(steps[i]!)
      return true
    }
  }
  if ((count - 1) * stepBits <= count * bits) {
    out.u8(head | STEPS)
    out.signed(whole[0]!)
    out.signed(leastStep)
    out.u8(stepBits)
    pack(out, steps, 1, count, leastStep, stepBits)
  } else {
    out.u8(head | OFFSETS)
    out.signed(least)
    out.u8(bits)
    pack(out, whole, 0, count, least, bits)
  }
  return true
}

function varintBytes(first: number, steps: Float64Array, count: number): number {
  let size = signedBytes(first)
  for (let i = 1; i < count; i++) size += signedBytes(steps[i]!)
  return size
}

function signedBytes(value: number): number {
  const magnitude = value < 0 ? -value : value
  if (magnitude < 0x40) return 1
  if (magnitude < 0x2000) return 2
  return magnitude < 0x10_0000 ? 3 : Math.ceil((bitWidth(magnitude) + 1) / 7)
}

function writeRaw(out: ByteWriter, values: Float64Array, from: number, to: number): void {
  out.u8(RAW)
  for (let i = from; i < to; i++) out.f64(values[i]!)
}

function readRaw(input: ByteReader, values: Float64Array, count: number): void {
  let at = input.skip(count * 8)
  for (let i = 0; i < count; i++, at += 8) values[i] = input.bytes.readDoubleLE(at)
}

function readSteps(input: ByteReader, values: Float64Array, count: number): void {
  let value = input.signed()
  values[0] = value
  if (count === 1) return
  const least = input.signed()
  unpack(input, values, 1, count, readWidth(input, 53))
  for (let i = 1; i < count; i++) {
    value += values[i]! + least
    values[i] = value
  }
}

function readOffsets(input: ByteReader, values: Float64Array, count: number): void {
  const least = input.signed()
  unpack(input, values, 0, count, readWidth(input, 53))
  for (let i = 0; i < count; i++) values[i] = values[i]! + least
}

function readVarints(input: ByteReader, values: Float64Array, count: number): void {
  let value = 0
  for (let i = 0; i < count; i++) {
    value += input.signed()
    values[i] = value
  }
}

function readSpecials(input: ByteReader, values: Float64Array, count: number): void {
  const specialCount = input.varint()
  if (specialCount > count) throw corrupt(`${specialCount} specials among ${count} numbers`)
  let position = 0
  for (let i = 0; i < specialCount; i++) {
    position += input.varint()
    if (position >= count) throw corrupt(`special number at ${position} of ${count}`)
    values[position] = input.f64()
  }
}
