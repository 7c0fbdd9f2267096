// The WebSocket to a Zenoh bridge (RFC 6455, binary messages, client side). Node's own one cannot do
// what a supervised connection needs (all tried on Node 24): it has no way to end a connection whose
// other side does not answer, so that a stalled bridge kept the socket, its buffer and our process
// alive for ever; and it sends each message as one frame, while the bridge takes frames of 16 MiB at
// most, but messages of 64.
//
//   frame, to the bridge:   fin+opcode 1 · 0x80+length 1, 3 or 9 · mask 4 · payload
//   frame, from the bridge: fin+opcode 1 ·      length 1, 3 or 9 ·          payload
//
// The mask is zero: it protects proxies from scripts in web pages, and a process like ours can spare
// the pass over each byte.
import { createHash } from 'node:crypto'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Socket } from 'node:net'
import type { Clock, Random } from '../clock.ts'

const CONTINUATION = 0
const BINARY = 2
const CLOSE = 8
const PING = 9
const PONG = 10
const FIN = 0x80
const MASKED = 0x80

/** The bridge refuses frames above 16 MiB, their header excluded. */
const FRAME_BYTES_MAX = 8 * 1024 * 1024
const CONTROL_BYTES_MAX = 125
/** How long a goodbye may take. */
const END_MS = 1000

const NOTHING = Buffer.alloc(0)

/** From RFC 6455 §1.3. */
const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

export interface ConnectOptions {
  readonly clock: Clock
  readonly random: Random
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Longer messages are skipped, and told by onOversize. */
  readonly messageBytesMax: number
}

/** Resolves when connected. @throws Error that says what happened instead. */
export async function connectWebSocket(url: URL, options: ConnectOptions): Promise<BridgeSocket> {
  const key = Buffer.from(options.random.bytes(16)).toString('base64')
  const { promise, resolve, reject } = Promise.withResolvers<BridgeSocket>()
  const request = upgradeRequest(url, key)
  request.on('upgrade', (response, socket, head) => {
    if (response.headers['sec-websocket-accept'] === acceptOf(key)) {
      resolve(new BridgeSocket(socket, head, options))
    } else {
      socket.destroy()
      reject(new Error('it answers, but not as a WebSocket'))
    }
  })
  request.on('response', (response: IncomingMessage) => {
    request.destroy()
    reject(new Error(`it answers with HTTP status ${response.statusCode}, not as a WebSocket`))
  })
  request.on('error', reject)
  const late = options.clock.startTimer(options.timeoutMs, () => {
    request.destroy(new Error(`no answer within ${options.timeoutMs} ms`))
  })
  const onAbort = (): void => {
    request.destroy(new Error('closed'))
  }
  options.signal.addEventListener('abort', onAbort, { once: true })
  request.end()
  try {
    return await promise
  } finally {
    late.cancel()
    options.signal.removeEventListener('abort', onAbort)
  }
}

function upgradeRequest(url: URL, key: string): ClientRequest {
  const http = new URL(url)
  http.protocol = url.protocol === 'wss:' ? 'https:' : 'http:'
  const request = http.protocol === 'https:' ? requestHttps : requestHttp
  return request(http, {
    agent: false,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Key': key,
      'Sec-WebSocket-Version': '13',
    },
  })
}

const acceptOf = (key: string): string =>
  createHash('sha1')
    .update(key + ACCEPT_GUID)
    .digest('base64')

export class BridgeSocket {
  /** Called for each message. The buffer is the receiver's. */
  onMessage: (bytes: ArrayBuffer) => void = () => {}
  /** Called for each message that was skipped because of its size. */
  onOversize: () => void = () => {}
  /** Resolves with the reason when nothing can be sent or received any more. */
  readonly ended: Promise<Error>
  private readonly socket: Socket
  private readonly clock: Clock
  private readonly reader: FrameReader
  private readonly settleEnded: (reason: Error) => void
  private isOpen = true
  private isAcknowledging = false
  private isWithinMessage = false

  constructor(socket: Socket, head: Buffer, options: ConnectOptions) {
    this.socket = socket
    this.clock = options.clock
    this.reader = new FrameReader(options.messageBytesMax, {
      onMessage: (bytes) => this.onMessage(bytes),
      onOversize: () => this.onOversize(),
      onControl: (opcode, bytes) => this.onControl(opcode, bytes),
    })
    const { promise, resolve } = Promise.withResolvers<Error>()
    this.ended = promise
    this.settleEnded = resolve
    socket.setNoDelay(true)
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => this.destroy(new Error('the connection was closed')))
    socket.on('data', (chunk: Buffer) => this.onData(chunk))
    if (head.length > 0) this.onData(head)
  }

  /** Bytes that the operating system has not taken yet. */
  get bufferedBytes(): number {
    return this.socket.writableLength
  }

  /** Sends a message. The bytes must not be changed afterwards. */
  send(bytes: Uint8Array): void {
    if (!this.isOpen) return
    this.socket.cork()
    let at = 0
    do {
      const part = bytes.subarray(at, at + FRAME_BYTES_MAX)
      at += part.length
      this.writePart(part, at === bytes.length)
    } while (at < bytes.length)
    this.socket.uncork()
  }

  /** Sends what is buffered and a goodbye; ends the connection at the latest after a second. */
  async end(): Promise<void> {
    if (!this.isOpen) return
    this.write(FIN | CLOSE, NOTHING)
    const late = this.clock.startTimer(END_MS, () => this.destroy(new Error('closed')))
    // The bridge answers the goodbye, when it has read all that came before.
    await this.ended
    late.cancel()
  }

  /** Ends the connection at once; what is buffered is lost. */
  destroy(reason: Error): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.socket.destroy()
    this.settleEnded(reason)
  }

  /** A part of the message that is being sent, or the first one of a new one. */
  private writePart(part: Uint8Array, isLast: boolean): void {
    this.write((isLast ? FIN : 0) | (this.isWithinMessage ? CONTINUATION : BINARY), part)
    this.isWithinMessage = !isLast
  }

  private write(head: number, payload: Uint8Array): void {
    this.socket.write(frameHeader(head, payload.length))
    if (payload.length > 0) this.socket.write(payload)
  }

  private onData(chunk: Buffer): void {
    if (!this.isOpen) return
    this.acknowledgeSoon()
    if (!this.reader.read(chunk)) this.destroy(new Error('it does not speak WebSocket'))
  }

  /**
   * The bridge leaves Nagle's algorithm on: while anything it sent is not acknowledged, it holds small
   * messages back, and our side takes up to 40 ms for an acknowledgement on its own (p50 of a message
   * each millisecond was 15 ms). An acknowledgement travels at once with whatever we send, so what was
   * received is answered, unless something else was sent meanwhile: by the beginning of our next
   * message, a frame of no bytes. (Of a pong that nobody asked for the bridge complains in its log.)
   */
  private acknowledgeSoon(): void {
    if (this.isAcknowledging) return
    this.isAcknowledging = true
    const { bytesWritten } = this.socket
    setImmediate(() => {
      this.isAcknowledging = false
      if (this.isOpen && this.socket.bytesWritten === bytesWritten) this.writePart(NOTHING, false)
    })
  }

  private onControl(opcode: number, payload: Buffer): void {
    if (opcode === CLOSE) this.destroy(new Error('the connection was closed by the other side'))
    else if (opcode === PING && this.isOpen) this.write(FIN | PONG, payload)
  }
}

function frameHeader(head: number, length: number): Buffer {
  const sizeBytes = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const header = Buffer.alloc(2 + sizeBytes + 4)
  header[0] = head
  header[1] = MASKED | (sizeBytes === 0 ? length : sizeBytes === 2 ? 126 : 127)
  if (sizeBytes === 2) header.writeUInt16BE(length, 2)
  if (sizeBytes === 8) header.writeUIntBE(length, 4, 6)
  return header
}

interface FrameEvents {
  onMessage(bytes: ArrayBuffer): void
  onOversize(): void
  onControl(opcode: number, payload: Buffer): void
}

/** Cuts a byte stream into messages. Copies each byte once, and never holds more than one message. */
class FrameReader {
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
