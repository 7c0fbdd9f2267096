// What a store must know of each frame of one segment to find it again, 40 bytes a frame, in typed
// arrays: no object per frame to collect, and the same bytes in memory and in the index on disk.
//
//   f64 sequence | f64 first µs | u32 span µs | u32 offset | u32 bytes | u32 crc | u32 count·4+kind | u32 link
//
// In memory `link` is the index + 1 of the lane's previous frame, 0 for its first; on disk it is 0.
import { endianness } from 'node:os'
import type { Frame } from '../../mesh/index.ts'
import type { FrameFacts } from './lane-state.ts'

export const ENTRY_BYTES = 40
const F64_STRIDE = ENTRY_BYTES / 8
const U32_STRIDE = ENTRY_BYTES / 4
const KINDS = ['data', 'skip', 'end', 'schema'] as const

// Typed arrays follow the machine; every machine Node.js supports but s390x is little-endian.
if (endianness() !== 'LE') throw new Error('the store needs a little-endian machine')

export class FrameTable {
  length = 0
  private f64: Float64Array
  private u32: Uint32Array

  constructor(capacity = 256) {
    const buffer = new ArrayBuffer(capacity * ENTRY_BYTES)
    this.f64 = new Float64Array(buffer)
    this.u32 = new Uint32Array(buffer)
  }

  /** A table of entries as they stand on disk; copies them, since they must be aligned. */
  static from(entries: Uint8Array): FrameTable {
    const table = new FrameTable(entries.length / ENTRY_BYTES)
    new Uint8Array(table.f64.buffer).set(entries)
    table.length = entries.length / ENTRY_BYTES
    return table
  }

  /** Returns the index of the new entry. */
  add(frame: Frame, offset: number, link: number): number {
    const index = this.length
    if (index * F64_STRIDE === this.f64.length) this.grow()
    this.length = index + 1
    const f = index * F64_STRIDE
    const u = index * U32_STRIDE
    this.f64[f] = frame.sequence
    this.f64[f + 1] = frame.firstUs
    this.u32[u + 4] = frame.lastUs - frame.firstUs
    this.u32[u + 5] = offset
    this.u32[u + 6] = frame.bytes.length
    this.u32[u + 7] = frame.crc
    this.u32[u + 8] = frame.count * KINDS.length + KINDS.indexOf(frame.kind)
    this.u32[u + 9] = link
    return index
  }

  sequence(index: number): number {
    return this.f64[index * F64_STRIDE]!
  }

  firstUs(index: number): number {
    return this.f64[index * F64_STRIDE + 1]!
  }

  lastUs(index: number): number {
    return this.firstUs(index) + this.u32[index * U32_STRIDE + 4]!
  }

  /** Where its record begins in the segment. */
  offset(index: number): number {
    return this.u32[index * U32_STRIDE + 5]!
  }

  /** Length of the frame, without its record header. */
  bytes(index: number): number {
    return this.u32[index * U32_STRIDE + 6]!
  }

  crc(index: number): number {
    return this.u32[index * U32_STRIDE + 7]!
  }

  count(index: number): number {
    return Math.floor(this.u32[index * U32_STRIDE + 8]! / KINDS.length)
  }

  kind(index: number): FrameFacts['kind'] {
    return KINDS[this.u32[index * U32_STRIDE + 8]! % KINDS.length]!
  }

  facts(index: number): FrameFacts {
    return {
      kind: this.kind(index),
      sequence: this.sequence(index),
      firstUs: this.firstUs(index),
      lastUs: this.lastUs(index),
      count: this.count(index),
    }
  }

  /** Index + 1 of the lane's previous frame in this table, or 0. */
  link(index: number): number {
    return this.u32[index * U32_STRIDE + 9]!
  }

  /** Copies the entry as it stands on disk. */
  copyTo(index: number, into: Buffer, at: number): void {
    const from = index * ENTRY_BYTES
    into.set(new Uint8Array(this.f64.buffer, from, ENTRY_BYTES - 4), at)
    into.writeUInt32LE(0, at + ENTRY_BYTES - 4)
  }

  private grow(): void {
    const grown = new FrameTable(Math.max(256, this.length * 2))
    grown.f64.set(this.f64)
    this.f64 = grown.f64
    this.u32 = grown.u32
  }
}
