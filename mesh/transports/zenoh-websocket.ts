// The WebSocket to a Zenoh bridge (RFC 6455, binary messages, client side). Node's own one cannot do
// what a supervised connection needs (all tried on Node 24): it has no way to end a connection whose
// other side does not answer, so that a stalled bridge kept the socket, its buffer and our process
// alive for ever; and it sends each message as one frame, while the bridge takes frames of 16 MiB at
// most, but messages of 64.
import { createHash } from 'node:crypto'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Socket } from 'node:net'
import type { Clock, Random } from '../clock.ts'
import {
  BINARY,
  CLOSE,
  CONTINUATION,
  FIN,
  FrameReader,
  PING,
  PONG,
  frameHeader,
} from './zenoh-frames.ts'

/** The bridge refuses frames above 16 MiB, their header excluded. */
const FRAME_BYTES_MAX = 8 * 1024 * 1024
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
