// An encrypted stream as HTTP wants it: a duplex of Node.js with back-pressure, and the few methods
// of a socket that `http.Agent` calls without asking.
//
// UDX, the UDP stream below, hands over whatever arrives: a reader that pauses makes nobody wait, it
// fills its own memory. So each side says how much it has taken, and the other keeps within a window.
//
//   message:  1  kind: 0 data, 1 taken · data: the bytes · taken: 4, bytes taken since, little-endian
import { Duplex } from 'node:stream'
import type { SecretStream } from 'hyperdht'
import type { Clock, Timer } from '../clock.ts'

const DATA = 0
const TAKEN = 1
const TAKEN_BYTES = 5
/** What may be on its way to a reader that reads nothing. */
const WINDOW_BYTES = 2 * 1024 * 1024
/** Said often enough to keep the writer going, seldom enough to cost nothing. */
const TELL_BYTES = WINDOW_BYTES / 4
const MESSAGE_BYTES = 64 * 1024

interface Unwritten {
  readonly chunk: Buffer
  at: number
  readonly done: (error?: Error) => void
}

export class HttpStream extends Duplex {
  private readonly stream: SecretStream
  private readonly clock: Clock
  /** Arrived and not asked for yet; at most a window. */
  private unread: Buffer[] = []
  private unreadBytes = 0
  private takenBytes = 0
  private isWanted = false
  /** The other side sends nothing more; nor do we. */
  private hasEnded = false
  private isFinal = false
  /** What may still be sent. */
  private roomBytes = WINDOW_BYTES
  private unwritten: Unwritten | undefined
  private isDraining = false
  private timer: Timer | undefined
  private timeoutMs = 0

  /** Takes over a stream that is open and paused. */
  constructor(stream: SecretStream, clock: Clock) {
    // As over TCP: a server may answer one that has nothing more to ask, a client has no use for that.
    super({ allowHalfOpen: !stream.isInitiator })
    this.stream = stream
    this.clock = clock
    stream.on('data', (message: Buffer) => this.onMessage(message))
    stream.on('drain', () => this.onDrain())
    stream.on('end', () => this.onEnd())
    stream.on('error', (error: Error) => this.destroy(error))
    stream.on('close', () => this.destroy())
    stream.resume()
  }

  override _read(): void {
    this.isWanted = true
    this.hand()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.touch()
    this.unwritten = { chunk, at: 0, done }
    this.writeOn()
  }

  override _final(done: () => void): void {
    this.isFinal = true
    this.stream.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.timer?.cancel()
    this.unwritten = undefined
    this.stream.destroy()
    done(error)
  }

  /** Emits 'timeout' when nothing was read or written for so long; 0 for never. */
  setTimeout(ms: number, listener?: () => void): this {
    if (listener !== undefined) this.once('timeout', listener)
    this.timeoutMs = ms
    this.touch()
    return this
  }

  // There is nothing of TCP to set here.
  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  private onMessage(message: Buffer): void {
    this.touch()
    if (message[0] === DATA) this.onData(message.subarray(1))
    else if (message[0] === TAKEN && message.length === TAKEN_BYTES) {
      this.roomBytes = Math.min(WINDOW_BYTES, this.roomBytes + message.readUInt32LE(1))
      this.writeOn()
    } else this.destroy(new Error('the peer sent something that is no HTTP stream'))
  }

  private onData(bytes: Buffer): void {
    this.unread.push(bytes)
    this.unreadBytes += bytes.length
    if (this.unreadBytes > WINDOW_BYTES) {
      this.destroy(new Error(`the peer sent more than the ${WINDOW_BYTES} bytes it may`))
    } else {
      this.hand()
    }
  }

  private onEnd(): void {
    this.hasEnded = true
    this.hand()
  }

  private hand(): void {
    while (this.isWanted) {
      const bytes = this.unread.shift()
      if (bytes === undefined) break
      this.unreadBytes -= bytes.length
      this.takenBytes += bytes.length
      this.isWanted = this.push(bytes)
    }
    if (this.hasEnded && this.unread.length === 0) this.push(null)
    if (this.takenBytes >= TELL_BYTES) this.tell()
  }

  private tell(): void {
    const message = Buffer.alloc(TAKEN_BYTES, TAKEN)
    message.writeUInt32LE(this.takenBytes, 1)
    this.takenBytes = 0
    if (!this.stream.destroying && !this.hasEnded && !this.isFinal) this.stream.write(message)
  }

  private onDrain(): void {
    this.isDraining = false
    this.touch()
    this.writeOn()
  }

  private writeOn(): void {
    const { unwritten } = this
    if (unwritten === undefined) return
    const { chunk } = unwritten
    while (unwritten.at < chunk.length) {
      if (this.isDraining || this.roomBytes === 0) return
      const end = Math.min(unwritten.at + Math.min(MESSAGE_BYTES, this.roomBytes), chunk.length)
      this.roomBytes -= end - unwritten.at
      const message = Buffer.allocUnsafe(1 + end - unwritten.at)
      message[0] = DATA
      message.set(chunk.subarray(unwritten.at, end), 1)
      unwritten.at = end
      this.isDraining = !this.stream.write(message)
    }
    this.unwritten = undefined
    unwritten.done()
  }

  private touch(): void {
    this.timer?.cancel()
    if (this.timeoutMs > 0 && !this.destroyed) {
      this.timer = this.clock.startTimer(this.timeoutMs, () => this.emit('timeout'))
    }
  }
}
