// A link over one encrypted stream: packets with their length before them. The side that opened the
// stream greets; the link ends with the stream, and the stream with the link. Whoever wants another
// one dials again.
//
//   packet:  4  length, little-endian · … as in links/wire.ts
import type { SecretStream } from 'hyperdht'
import type { Clock } from '../clock.ts'
import type { LinkHub } from '../links/hub.ts'
import type { Channel, Link } from '../links/link.ts'
import { PACKET_BYTES_MAX } from '../links/wire.ts'
import { endSoon } from './hyperswarm-streams.ts'

const LENGTH_BYTES = 4
/** A Noise message holds at most 16 MiB less its overhead; smaller ones flow better. */
const WRITE_BYTES = 256 * 1024
/**
 * What may wait for the stream. The link's credit keeps it below its 16 MiB and a packet; a peer that
 * gives credit and does not read is not given more memory for it.
 */
const WAITING_BYTES_MAX = 48 * 1024 * 1024
/** A stream on which nothing comes at all, not even a greeting; heartbeats find the rest out earlier. */
const SILENCE_MS = 15_000

export interface StreamLinkOptions {
  readonly stream: SecretStream
  readonly hub: LinkHub
  readonly clock: Clock
}

export class StreamLink implements Channel {
  private readonly stream: SecretStream
  private readonly hub: LinkHub
  private readonly clock: Clock
  /** Undefined while the other side, which opened the stream, has not greeted. */
  private link: Link | undefined
  private greetedLife = 0
  private parts: Buffer[] = []
  private partsBytes = 0
  /** What the stream has no room for yet; it says so when it has. */
  private waiting: Buffer[] = []
  private waitingBytes = 0
  private isFull = false
  private isEnding = false

  constructor({ stream, hub, clock }: StreamLinkOptions) {
    this.stream = stream
    this.hub = hub
    this.clock = clock
  }

  start(): void {
    const { stream } = this
    stream.setTimeout(SILENCE_MS)
    stream.on('data', (chunk: Buffer) => this.onData(chunk))
    stream.on('drain', () => this.onDrain())
    stream.on('end', () => this.end())
    stream.on('close', () => this.end())
    if (stream.isInitiator) {
      this.link = this.hub.dial(this)
      this.link.connected()
      this.greetedLife = this.link.life
    }
    stream.resume()
  }

  send(packet: Buffer): void {
    if (this.isEnding || this.stream.destroying) return
    if (this.isStale()) {
      this.stream.destroy()
      return
    }
    this.write(packet)
    if (this.waitingBytes > WAITING_BYTES_MAX) this.stream.destroy()
  }

  get isUp(): boolean {
    return this.link?.isUp === true
  }

  /** Whether the other side has said hello, now or before the link went down. */
  get hasMet(): boolean {
    return this.link?.peer !== undefined
  }

  /** Ends the link, with a goodbye. */
  farewell(): void {
    if (this.link === undefined) this.close()
    else this.link.close()
  }

  /** Called by the link when it has ended. */
  close(): void {
    if (this.isEnding) return
    this.isEnding = true
    if (!this.stream.destroying) for (const part of this.waiting) this.stream.write(part)
    this.waiting = []
    endSoon(this.stream, this.clock)
  }

  /** The other side will send nothing more. */
  private end(): void {
    if (this.link === undefined) this.close()
    else this.link.abandon()
  }

  /**
   * A dialler's link that greets anew has lost its peer, to silence or a goodbye. On this stream
   * nobody will answer: a new one finds out sooner who is there.
   */
  private isStale(): boolean {
    return this.greetedLife !== 0 && this.link?.life !== this.greetedLife
  }

  private write(packet: Buffer): void {
    const length = Buffer.allocUnsafe(LENGTH_BYTES)
    length.writeUInt32LE(packet.length)
    if (packet.length <= WRITE_BYTES) {
      this.writePart(Buffer.concat([length, packet]))
      return
    }
    this.writePart(length)
    for (let at = 0; at < packet.length; at += WRITE_BYTES) {
      this.writePart(packet.subarray(at, at + WRITE_BYTES))
    }
  }

  private writePart(part: Buffer): void {
    if (this.isFull) {
      this.waiting.push(part)
      this.waitingBytes += part.length
    } else {
      this.isFull = !this.stream.write(part)
    }
  }

  private onDrain(): void {
    this.isFull = false
    let written = 0
    for (const part of this.waiting) {
      if (this.isFull) break
      this.isFull = !this.stream.write(part)
      this.waitingBytes -= part.length
      written += 1
    }
    this.waiting.splice(0, written)
  }

  private onData(chunk: Buffer): void {
    this.parts.push(chunk)
    this.partsBytes += chunk.length
    for (;;) {
      const length = this.nextLength()
      if (length === undefined) return
      if (length > PACKET_BYTES_MAX) {
        this.hub.counters.rejectedMessages += 1
        this.parts = []
        this.partsBytes = 0
        this.stream.destroy()
        return
      }
      if (this.partsBytes < LENGTH_BYTES + length) return
      this.onPacket(this.take(LENGTH_BYTES + length).subarray(LENGTH_BYTES))
    }
  }

  /** Undefined while too little has arrived to tell. */
  private nextLength(): number | undefined {
    if (this.partsBytes < LENGTH_BYTES) return undefined
    if (this.parts[0]!.length < LENGTH_BYTES) this.parts = [Buffer.concat(this.parts)]
    return this.parts[0]!.readUInt32LE(0)
  }

  /** Takes so many bytes off the front; there are as many. */
  private take(bytes: number): Buffer {
    const first = this.parts[0]!
    const whole = first.length >= bytes ? first : Buffer.concat(this.parts)
    if (whole !== first) this.parts = [whole]
    if (whole.length === bytes) this.parts.shift()
    else this.parts[0] = whole.subarray(bytes)
    this.partsBytes -= bytes
    return whole.subarray(0, bytes)
  }

  private onPacket(packet: Buffer): void {
    if (this.isEnding) return
    if (this.link === undefined) this.link = this.hub.meet(packet, this)
    else this.link.receive(packet)
  }
}
