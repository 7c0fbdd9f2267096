// The records of a store's classic-level databases: keys that begin with a letter for their kind, and
// values that end with a CRC-32 over key and value, since LevelDB as we can get it does not verify its
// blocks.
import { crc32 } from 'node:zlib'
import type { ClassicLevel } from 'classic-level'

export type IndexDatabase = ClassicLevel<Buffer, Buffer>

export const CRC_BYTES = 4
const READ_AHEAD_BYTES = 1 << 20

/** Entries whose key begins with the kind and, where given, the number. */
export async function* entriesWith(
  db: IndexDatabase,
  kind: string,
  number?: number,
): AsyncGenerator<[Buffer, Buffer]> {
  const gte = number === undefined ? Buffer.from(kind) : numberKey(kind, number)
  const next = kind.charCodeAt(0) + 1
  const lt = number === undefined ? Buffer.from([next]) : numberKey(kind, number + 1)
  const iterator = db.iterator({ gte, lt, highWaterMarkBytes: READ_AHEAD_BYTES, fillCache: false })
  try {
    for (;;) {
      const some = await iterator.nextv(1000)
      if (some.length === 0) return
      yield* some
    }
  } finally {
    await iterator.close()
  }
}

export function numberKey(kind: string, number: number): Buffer {
  const key = Buffer.allocUnsafe(5)
  key[0] = kind.charCodeAt(0)
  key.writeUInt32BE(number, 1)
  return key
}

/** Puts a CRC over key and value into the value's last four bytes. */
export function withCrc(key: Buffer, value: Buffer): Buffer {
  const end = value.length - CRC_BYTES
  value.writeUInt32LE(crc32(value.subarray(0, end), crc32(key)), end)
  return value
}

/** The value without its CRC; undefined when it is not what was stored under this key. */
export function checkedValue(key: Buffer, value: Buffer | undefined): Buffer | undefined {
  if (value === undefined || value.length < CRC_BYTES) return undefined
  const end = value.length - CRC_BYTES
  const content = value.subarray(0, end)
  return crc32(content, crc32(key)) === value.readUInt32LE(end) ? content : undefined
}

export function jsonValue(key: Buffer, content: object): Buffer {
  const text = Buffer.from(JSON.stringify(content), 'utf8')
  return withCrc(key, Buffer.concat([text, Buffer.alloc(CRC_BYTES)]))
}

export function parseJson(key: Buffer, value: Buffer | undefined): unknown {
  const content = checkedValue(key, value)
  return content === undefined ? undefined : JSON.parse(content.toString('utf8'))
}
