// The WebSocket to a Zenoh bridge, on the package `ws`. Node's own one cannot do what a supervised
// connection needs (all tried on Node 24): it has no way to end a connection whose other side does not
// answer, so that a stalled bridge kept the socket, its buffer and our process alive for ever; and it
// sends each message as one frame, while the bridge takes frames of 16 MiB at most, but messages of 64.
import type { WebSocket } from 'ws'
import type { Clock } from '../clock.ts'

/** The bridge refuses frames above 16 MiB, their header excluded. */
const FRAME_BYTES_MAX = 8 * 1024 * 1024
/**
 * A longer message ends the connection. Above the 64 MiB that a bridge takes from its own clients, so
 * that none of these can end ours.
 */
const MESSAGE_BYTES_MAX = 65 * 1024 * 1024
/** How long a goodbye may take. */
const END_MS = 1000

const NOTHING = Buffer.alloc(0)

export interface ConnectOptions {
  readonly clock: Clock
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Longer messages are skipped, and told by onSkipped. */
  readonly messageBytesMax: number
}

/** Resolves when connected. @throws Error that says what happened instead. */
export async function connectWebSocket(url: URL, options: ConnectOptions): Promise<BridgeSocket> {
  const { WebSocket } = await import('ws')
  const { clock, timeoutMs, signal, messageBytesMax } = options
  signal.throwIfAborted()
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    skipUTF8Validation: true,
    maxPayload: MESSAGE_BYTES_MAX,
    // A mask protects proxies from scripts in web pages. Of zeros it spares a pass over each byte.
    generateMask: (mask) => mask.fill(0),
  })
  const connected = Promise.withResolvers<BridgeSocket>()
  const giveUp = (reason: Error): void => {
    connected.reject(reason)
    socket.terminate()
  }
  const late = clock.startTimer(timeoutMs, () =>
    giveUp(new Error(`no answer within ${timeoutMs} ms`)),
  )
  const onAbort = (): void => giveUp(new Error('closed'))
  signal.addEventListener('abort', onAbort, { once: true })
  socket.on('error', connected.reject)
  socket.on('open', () => connected.resolve(new BridgeSocket(socket, clock, messageBytesMax)))
  try {
    return await connected.promise
  } finally {
    late.cancel()
    signal.removeEventListener('abort', onAbort)
  }
}

export class BridgeSocket {
  /** Called for each message. The buffer is the receiver's. */
  onMessage: (bytes: ArrayBuffer) => void = () => {}
  /** Called for each message that was skipped: too large, or text. */
  onSkipped: () => void = () => {}
  /** Resolves with the reason when nothing can be sent or received any more. */
  readonly ended: Promise<Error>
  private readonly socket: WebSocket
  private readonly clock: Clock
  private readonly messageBytesMax: number
  private readonly settleEnded: (reason: Error) => void
  private isAcknowledging = false
  private sentMessages = 0

  constructor(socket: WebSocket, clock: Clock, messageBytesMax: number) {
    this.socket = socket
    this.clock = clock
    this.messageBytesMax = messageBytesMax
    const { promise, resolve } = Promise.withResolvers<Error>()
    this.ended = promise
    this.settleEnded = resolve
    socket.binaryType = 'arraybuffer'
    socket.on('message', (data, isBinary) => this.onData(data as ArrayBuffer, isBinary))
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => this.destroy(new Error('the connection was closed')))
  }

  /** Whether what is sent can arrive. */
  get isOpen(): boolean {
    return this.socket.readyState === this.socket.OPEN
  }

  /** Bytes that the operating system has not taken yet. */
  get bufferedBytes(): number {
    return this.socket.bufferedAmount
  }

  /** Sends a message. The bytes must not be changed afterwards. */
  send(bytes: Uint8Array): void {
    if (!this.isOpen) return
    this.sentMessages += 1
    let at = 0
    do {
      const part = bytes.subarray(at, at + FRAME_BYTES_MAX)
      at += part.length
      this.socket.send(part, { fin: at === bytes.length })
    } while (at < bytes.length)
  }

  /** Sends what is buffered and a goodbye; ends the connection at the latest after a second. */
  async end(): Promise<void> {
    this.socket.close()
    const late = this.clock.startTimer(END_MS, () => this.destroy(new Error('closed')))
    // The bridge answers the goodbye, when it has read all that came before.
    await this.ended
    late.cancel()
  }

  /** Ends the connection at once; what is buffered is lost. */
  destroy(reason: Error): void {
    this.socket.terminate()
    this.settleEnded(reason)
  }

  private onData(data: ArrayBuffer, isBinary: boolean): void {
    this.acknowledgeSoon()
    if (isBinary && data.byteLength <= this.messageBytesMax) this.onMessage(data)
    else this.onSkipped()
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
    const { sentMessages } = this
    setImmediate(() => {
      this.isAcknowledging = false
      if (this.isOpen && this.sentMessages === sentMessages)
        this.socket.send(NOTHING, { fin: false })
    })
  }
}
