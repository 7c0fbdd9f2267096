// How stored frames travel between stores: records one after the other, little-endian.
//
//   | ingest time | frame length | frame bytes |  …  | more? | 0      |
//   | u64, µs     | u32          |             |     | u64   | u32    |
//
// A length of 0 ends it; `more` is then 1 when the byte limit cut the answer short, else 0. Without
// that last record the answer was cut off. Frames are checked by whoever keeps them.
import type { FrameRecord } from '../query/peer.ts'

const HEAD_BYTES = 12
const U32 = 0x1_0000_0000

/** Copies: many small pieces would cost the server more to send than all the rest of its work. */
export function encodeRecords(records: readonly FrameRecord[]): Buffer {
  const length = records.reduce((sum, { bytes }) => sum + HEAD_BYTES + bytes.length, 0)
  const into = Buffer.allocUnsafe(length)
  let at = 0
  for (const { ingestUs, bytes } of records) {
    writeHead(into, at, ingestUs, bytes.length)
    into.set(bytes, at + HEAD_BYTES)
    at += HEAD_BYTES + bytes.length
  }
  return into
}

export function encodeRecordsEnd(more: boolean): Buffer {
  const end = Buffer.allocUnsafe(HEAD_BYTES)
  writeHead(end, 0, more ? 1 : 0, 0)
  return end
}

/**
 * Reads records from a body, those of a piece together; returns whether there is more.
 * @throws Error when a frame is longer than `frameBytesMax` or the body ends too early.
 */
export async function* readRecords(
  chunks: AsyncIterable<Uint8Array>,
  frameBytesMax: number,
): AsyncGenerator<readonly FrameRecord[], boolean> {
  let parts: Buffer[] = []
  let length = 0
  /** Bytes needed before the next record can be read. */
  let wanted = HEAD_BYTES
  for await (const chunk of chunks) {
    parts.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    length += chunk.byteLength
    if (length < wanted) continue
    const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts, length)
    const records: FrameRecord[] = []
    let at = 0
    for (;;) {
      wanted = HEAD_BYTES
      if (bytes.length - at < wanted) break
      const ingestUs = bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * U32
      const frameBytes = bytes.readUInt32LE(at + 8)
      if (frameBytes === 0) {
        if (records.length > 0) yield records
        return ingestUs === 1
      }
      if (frameBytes > frameBytesMax) {
        throw new Error(`a frame of ${frameBytes} bytes exceeds ${frameBytesMax}`)
      }
      wanted = HEAD_BYTES + frameBytes
      if (bytes.length - at < wanted) break
      records.push({ ingestUs, bytes: bytes.subarray(at + HEAD_BYTES, at + wanted) })
      at += wanted
    }
    if (records.length > 0) yield records
    const rest = bytes.subarray(at)
    parts = rest.length === 0 ? [] : [rest]
    length = rest.length
  }
  throw new Error('the answer ends before its last record')
}

function writeHead(into: Buffer, at: number, first: number, second: number): void {
  into.writeUInt32LE(first % U32, at)
  into.writeUInt32LE(Math.floor(first / U32), at + 4)
  into.writeUInt32LE(second, at + 8)
}
