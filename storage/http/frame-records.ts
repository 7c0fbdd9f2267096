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

export function encodeRecordHead({ ingestUs, bytes }: FrameRecord): Buffer {
  return head(ingestUs, bytes.length)
}

export function encodeRecordsEnd(more: boolean): Buffer {
  return head(more ? 1 : 0, 0)
}

/**
 * Reads records from a body; returns whether there is more.
 * @throws Error when a frame is longer than `frameBytesMax` or the body ends too early.
 */
export async function* readRecords(
  chunks: AsyncIterable<Uint8Array>,
  frameBytesMax: number,
): AsyncGenerator<FrameRecord, boolean> {
  let parts: Buffer[] = []
  let length = 0
  /** Bytes needed before the next record can be read. */
  let wanted = HEAD_BYTES
  for await (const chunk of chunks) {
    parts.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    length += chunk.byteLength
    if (length < wanted) continue
    const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts, length)
    let at = 0
    for (;;) {
      wanted = HEAD_BYTES
      if (bytes.length - at < wanted) break
      const ingestUs = bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * U32
      const frameBytes = bytes.readUInt32LE(at + 8)
      if (frameBytes === 0) return ingestUs === 1
      if (frameBytes > frameBytesMax) {
        throw new Error(`a frame of ${frameBytes} bytes exceeds ${frameBytesMax}`)
      }
      wanted = HEAD_BYTES + frameBytes
      if (bytes.length - at < wanted) break
      yield { ingestUs, bytes: bytes.subarray(at + HEAD_BYTES, at + wanted) }
      at += wanted
    }
    const rest = bytes.subarray(at)
    parts = rest.length === 0 ? [] : [rest]
    length = rest.length
  }
  throw new Error('the answer ends before its last record')
}

function head(first: number, second: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES)
  bytes.writeUInt32LE(first % U32, 0)
  bytes.writeUInt32LE(Math.floor(first / U32), 4)
  bytes.writeUInt32LE(second, 8)
  return bytes
}
