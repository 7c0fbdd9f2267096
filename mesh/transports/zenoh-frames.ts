// The frames of a WebSocket (RFC 6455 §5.2), as a client writes and reads them:
//
//   to the bridge:   fin+opcode 1 · 0x80+length 1, 3 or 9 · mask 4 · payload
//   from the bridge: fin+opcode 1 ·      length 1, 3 or 9 ·          payload
//
// The mask is zero: it protects proxies from scripts in web pages, and a process like ours can spare
// the pass over each byte.
export const CONTINUATION = 0
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10
export const FIN = 0x80
const MASKED = 0x80

const CONTROL_BYTES_MAX = 125

/** `first`: opcode, and FIN when it is the last of its message. */
export function frameHeader(first: number, length: number): Buffer {
  const sizeBytes = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const header = Buffer.alloc(2 + sizeBytes + 4)
  header[0] = first
  header[1] = MASKED | (sizeBytes === 0 ? length : sizeBytes === 2 ? 126 : 127)
  if (sizeBytes === 2) header.writeUInt16BE(length, 2)
  if (sizeBytes === 8) header.writeUIntBE(length, 4, 6)
  return header
}

export interface FrameEvents {
  onMessage(bytes: ArrayBuffer): void
  onOversize(): void
  onControl(opcode: number, payload: Buffer): void
}

/** Cuts a byte stream into messages. Copies each byte once, and never holds more than one message. */
export class FrameReader {
  private readonly messageBytesMax: number
  private readonly events: FrameEvents
  private chunks: Buffer[] = []
  private bytes = 0
  /** Payload of the frame that is being read; undefined between frames. */
  private frame: { opcode: number; isLast: boolean; left: number } | undefined
  /** The message so far; undefined when it is skipped. */
  private parts: Buffer[] | undefined = []
  private messageBytes = 0

  constructor(messageBytesMax: number, events: FrameEvents) {
    this.messageBytesMax = messageBytesMax
    this.events = events
  }

  /** False when this is no WebSocket, or one that nobody needs. */
  read(chunk: Buffer): boolean {
    this.chunks.push(chunk)
    this.bytes += chunk.length
    for (;;) {
      if (this.frame === undefined) {
        const header = this.readHeader()
        if (header === 'more') return true
        if (header === 'bad') return false
      } else if (!this.readPayload()) {
        return true
      }
    }
  }

  private readHeader(): 'more' | 'bad' | 'read' {
    if (this.bytes < 2) return 'more'
    const start = this.peek(2)
    const first = start[0]!
    const second = start[1]!
    const sizeBytes = second === 126 ? 2 : second === 127 ? 8 : 0
    const opcode = first & 15
    const isLast = (first & FIN) !== 0
    if ((first & 0x70) !== 0 || (second & MASKED) !== 0) return 'bad'
    if (opcode >= CLOSE && (!isLast || second > CONTROL_BYTES_MAX)) return 'bad'
    if (this.bytes < 2 + sizeBytes) return 'more'
    const header = this.peek(2 + sizeBytes)
    const left =
      sizeBytes === 0
        ? second
        : sizeBytes === 2
          ? header.readUInt16BE(2)
          : header.readUInt32BE(2) * 2 ** 32 + header.readUInt32BE(6)
    this.skip(2 + sizeBytes)
    this.frame = { opcode, isLast, left }
    if (opcode < CLOSE) {
      if (opcode !== CONTINUATION) this.beginMessage()
      this.messageBytes += left
      if (this.messageBytes > this.messageBytesMax) this.parts = undefined
    }
    return 'read'
  }

  private beginMessage(): void {
    this.parts = []
    this.messageBytes = 0
  }

  /** False when more is needed. */
  private readPayload(): boolean {
    const frame = this.frame!
    if (frame.opcode < CLOSE && this.parts === undefined) {
      const length = Math.min(frame.left, this.bytes)
      this.skip(length)
      frame.left -= length
      if (frame.left > 0) return false
    } else {
      if (this.bytes < frame.left) return false
      const payload = this.take(frame.left)
      if (frame.opcode >= CLOSE) this.events.onControl(frame.opcode, payload)
      else this.parts!.push(payload)
    }
    this.frame = undefined
    if (frame.isLast && frame.opcode < CLOSE) this.endMessage()
    return true
  }

  private endMessage(): void {
    const { parts } = this
    this.parts = []
    if (parts === undefined) {
      this.events.onOversize()
    } else {
      const message = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
      this.events.onMessage(ownBuffer(message))
    }
  }

  /** The first bytes, which must be there. Headers seldom lie across chunks. */
  private peek(length: number): Buffer {
    if (this.chunks[0]!.length < length) this.chunks = [Buffer.concat(this.chunks)]
    return this.chunks[0]!.subarray(0, length)
  }

  /** The first bytes, which must be there, in a buffer of their own. */
  private take(length: number): Buffer {
    const taken = Buffer.allocUnsafeSlow(length)
    let at = 0
    while (at < length) {
      const chunk = this.chunks[0]!
      const part = Math.min(chunk.length, length - at)
      taken.set(chunk.subarray(0, part), at)
      at += part
      this.skip(part)
    }
    return taken
  }

  private skip(length: number): void {
    this.bytes -= length
    let left = length
    while (left > 0) {
      const chunk = this.chunks[0]!
      if (chunk.length <= left) {
        left -= chunk.length
        this.chunks.shift()
      } else {
        this.chunks[0] = chunk.subarray(left)
        left = 0
      }
    }
  }
}

/** The bytes as an ArrayBuffer of just that length. */
function ownBuffer(bytes: Buffer): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = bytes
  if (byteOffset === 0 && buffer.byteLength === byteLength) return buffer as ArrayBuffer
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer
}
