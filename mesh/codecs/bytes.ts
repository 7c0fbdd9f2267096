// Growing output and checked input for codecs: the only two places in mesh/codecs/ that move a
// position. Little-endian. Integers larger than 32 bits are handled as float64, exact to 2^53.
import { MeshError } from '../errors.ts'

export function corrupt(reason: string, cause?: unknown): MeshError {
  const options = cause === undefined ? {} : { cause }
  return new MeshError('MESH_BODY_CORRUPT', `frame body: ${reason}`, options)
}

/** Output that is reused from body to body; view() is not a copy. */
export class ByteWriter {
  bytes: Buffer
  at = 0

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size)
  }

  /** Makes room for `size` more bytes: call before writing to `bytes` directly. */
  ensure(size: number): void {
    const needed = this.at + size
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2))
    this.bytes.copy(grown, 0, 0, this.at)
    this.bytes = grown
  }

  u8(value: number): void {
    this.ensure(1)
    this.bytes[this.at++] = value
  }

  f64(value: number): void {
    this.ensure(8)
    this.at = this.bytes.writeDoubleLE(value, this.at)
  }

  /** Unsigned, 7 bits a byte, low bits first, high bit set on all but the last. */
  varint(value: number): void {
    this.ensure(8)
    let rest = value
    while (rest >= 0x80) {
      this.bytes[this.at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.bytes[this.at++] = rest
  }

  /** As varint, with the sign in bit 6 of the first byte: zigzag would need 54 bits for 2^53 - 1. */
  signed(value: number): void {
    const sign = value < 0 ? 0x40 : 0
    const magnitude = value < 0 ? -value : value
    if (magnitude < 0x40) {
      this.u8(sign | magnitude)
      return
    }
    this.u8(0x80 | sign | (magnitude % 0x40))
    this.varint(Math.floor(magnitude / 0x40))
  }

  /** Length in bytes as varint, then UTF-8. The text must be well-formed. */
  text(value: string): void {
    // No UTF-16 unit takes more than three bytes.
    this.ensure(8 + value.length * 3)
    const size = value.length < 0x2a ? this.bytes.write(value, this.at + 1) : -1
    if (size >= 0) {
      // At most 41 units are at most 123 bytes: the length takes one byte, the text is in place.
      this.bytes[this.at] = size
      this.at += 1 + size
      return
    }
    this.varint(Buffer.byteLength(value, 'utf8'))
    this.at += this.bytes.write(value, this.at)
  }

  /** What was written, until it is written again. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.at)
  }
}

/** Input from the network or an old disk: each read checks that the bytes are there. */
export class ByteReader {
  readonly bytes: Buffer
  at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  /** Moves past `size` bytes and returns where they begin. @throws MeshError MESH_BODY_CORRUPT */
  skip(size: number): number {
    const start = this.at
    if (!(size <= this.bytes.length - start)) {
      throw corrupt(`${size} bytes wanted at ${start} of ${this.bytes.length}`)
    }
    this.at = start + size
    return start
  }

  u8(): number {
    return this.bytes[this.skip(1)]!
  }

  f64(): number {
    return this.bytes.readDoubleLE(this.skip(8))
  }

  varint(): number {
    let value = 0
    for (let scale = 1; scale < Number.MAX_SAFE_INTEGER; scale *= 0x80) {
      const byte = this.u8()
      value += (byte & 0x7f) * scale
      if (byte < 0x80 && value <= Number.MAX_SAFE_INTEGER) return value
    }
    throw corrupt(`varint before ${this.at} exceeds 2^53 - 1`)
  }

  signed(): number {
    const byte = this.u8()
    let magnitude = byte & 0x3f
    if (byte >= 0x80) magnitude += this.varint() * 0x40
    if (magnitude > Number.MAX_SAFE_INTEGER) {
      throw corrupt(`varint before ${this.at} exceeds 2^53 - 1`)
    }
    // Not -magnitude: a zero has no sign here.
    return (byte & 0x40) === 0 ? magnitude : 0 - magnitude
  }

  text(): string {
    const size = this.varint()
    const start = this.skip(size)
    return this.bytes.toString('utf8', start, start + size)
  }
}
