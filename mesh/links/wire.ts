// The packets two peers exchange over a link, whatever carries them. Five kinds, one header:
//
//    0  2  magic "SK"
//    2  1  version, 1
//    3  1  kind: 1 hello, 2 pack, 3 heartbeat, 4 ask, 5 bye
//    4  4  session of the sender: this life of its side of the link
//
// All numbers are little-endian. Nothing here throws on bad bytes: a reader answers undefined (or
// false) and the link counts the packet as rejected. The link's own rules are in link.ts.
import type { MeshId, PeerId } from '../names.ts'
import { TOPIC_BYTES_MAX } from '../topic.ts'

/** Largest message, topic excluded. A frame is at most 16 KiB and a few; the rest is for repair. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024
/** A pack is closed at this size; a larger message travels in a pack of its own. */
export const PACK_BYTES_MAX = 256 * 1024

const MAGIC_0 = 0x53
const MAGIC_1 = 0x4b
const VERSION = 1
const HEADER_BYTES = 8

/** Wire numbers of the packet kinds. */
export const HELLO = 1
export const PACK = 2
export const HEARTBEAT = 3
export const ASK = 4
export const BYE = 5

// pack: header, then
//    8  6  offset: cost of all packs sent before in this session
//   14  4  message count
//   18  …  messages
const PACK_HEADER_BYTES = 18
// message:
//    0  1  flags: bit 0 set = published `to` the receiver
//    1  2  topic length; 0 = the topic of the message before (bursts are mostly of one topic)
//    3  4  length
//    7  …  topic in UTF-8, then the bytes
const MESSAGE_HEADER_BYTES = 7
const DIRECTED = 1

/** Largest packet that can be valid. */
export const PACKET_BYTES_MAX =
  MESSAGE_BYTES_MAX + PACK_HEADER_BYTES + MESSAGE_HEADER_BYTES + TOPIC_BYTES_MAX

/** What a packet costs of a link's window: its bytes and about what it takes in memory besides. */
export const packetCost = (packet: Buffer): number => packet.length + 128

/** A message on its way out. `topic` is shared between messages: equal topics are the same object. */
export interface Outgoing {
  readonly topic: Buffer
  bytes: Uint8Array
  readonly directed: boolean
  /** Whether `bytes` are a copy of ours; otherwise they are the publisher's. */
  owned: boolean
}

export interface Hello {
  readonly session: number
  /** The session of the other side this one answers; 0 when it has heard none. */
  readonly echo: number
  readonly meshId: MeshId
  readonly peerId: PeerId
  /** How far the other side may send, as a pack offset. */
  readonly limit: number
  /** Counts changes of the sender's subscriptions. */
  readonly version: number
  readonly patterns: readonly string[]
}

export interface Heartbeat {
  /** Cost of all packs sent in this session: tells the receiver of lost ones at the end. */
  readonly sent: number
  readonly limit: number
  /** The version of the receiver's subscriptions that the sender knows. */
  readonly seenVersion: number
}

/** The kind of a packet of this protocol version; undefined for anything else. */
export function packetKind(packet: Buffer): number | undefined {
  if (packet.length < HEADER_BYTES || packet.length > PACKET_BYTES_MAX) return undefined
  if (packet[0] !== MAGIC_0 || packet[1] !== MAGIC_1 || packet[2] !== VERSION) return undefined
  const kind = packet[3]!
  return kind >= HELLO && kind <= BYE ? kind : undefined
}

export const packetSession = (packet: Buffer): number => packet.readUInt32LE(4)

function header(length: number, kind: number, session: number): Buffer {
  const packet = Buffer.allocUnsafe(length)
  packet[0] = MAGIC_0
  packet[1] = MAGIC_1
  packet[2] = VERSION
  packet[3] = kind
  packet.writeUInt32LE(session, 4)
  return packet
}

/** ask: `session` is the one of the packet that was not understood. bye: the sender's own. */
export const encodeBare = (kind: typeof ASK | typeof BYE, session: number): Buffer =>
  header(HEADER_BYTES, kind, session)

// hello:  8 4 echo · 12 8 mesh id · 20 8 peer id · 28 6 limit · 34 4 version · 38 4 pattern count ·
//         42 … per pattern: 2 length, then UTF-8
const HELLO_BYTES = 42

export function encodeHello(hello: Hello): Buffer {
  const patterns = hello.patterns.map((pattern) => Buffer.from(pattern, 'utf8'))
  const length = patterns.reduce((sum, pattern) => sum + 2 + pattern.length, HELLO_BYTES)
  const packet = header(length, HELLO, hello.session)
  packet.writeUInt32LE(hello.echo, 8)
  packet.write(hello.meshId, 12, 8, 'hex')
  packet.write(hello.peerId, 20, 8, 'hex')
  packet.writeUIntLE(hello.limit, 28, 6)
  packet.writeUInt32LE(hello.version, 34)
  packet.writeUInt32LE(patterns.length, 38)
  let at = HELLO_BYTES
  for (const pattern of patterns) {
    packet.writeUInt16LE(pattern.length, at)
    packet.set(pattern, at + 2)
    at += 2 + pattern.length
  }
  return packet
}

export function decodeHello(packet: Buffer): Hello | undefined {
  if (packet.length < HELLO_BYTES) return undefined
  const count = packet.readUInt32LE(38)
  const patterns: string[] = []
  let at = HELLO_BYTES
  for (let index = 0; index < count; index += 1) {
    if (at + 2 > packet.length) return undefined
    const end = at + 2 + packet.readUInt16LE(at)
    if (end > packet.length) return undefined
    patterns.push(packet.toString('utf8', at + 2, end))
    at = end
  }
  if (at !== packet.length) return undefined
  return {
    session: packetSession(packet),
    echo: packet.readUInt32LE(8),
    meshId: packet.toString('hex', 12, 20) as MeshId,
    peerId: packet.toString('hex', 20, 28) as PeerId,
    limit: packet.readUIntLE(28, 6),
    version: packet.readUInt32LE(34),
    patterns,
  }
}

// heartbeat:  8 6 sent · 14 6 limit · 20 4 seen version
const HEARTBEAT_BYTES = 24

export function encodeHeartbeat(session: number, heartbeat: Heartbeat): Buffer {
  const packet = header(HEARTBEAT_BYTES, HEARTBEAT, session)
  packet.writeUIntLE(heartbeat.sent, 8, 6)
  packet.writeUIntLE(heartbeat.limit, 14, 6)
  packet.writeUInt32LE(heartbeat.seenVersion, 20)
  return packet
}

export function decodeHeartbeat(packet: Buffer): Heartbeat | undefined {
  if (packet.length !== HEARTBEAT_BYTES) return undefined
  return {
    sent: packet.readUIntLE(8, 6),
    limit: packet.readUIntLE(14, 6),
    seenVersion: packet.readUInt32LE(20),
  }
}

/** Bytes `message` adds to a pack in which `previous` is the topic of the message before it. */
export function packedBytes(message: Outgoing, previous: Buffer | undefined): number {
  const topicBytes = message.topic === previous ? 0 : message.topic.length
  return MESSAGE_HEADER_BYTES + topicBytes + message.bytes.length
}

/**
 * Copies the messages into one packet. One buffer, not one part per message: a part costs about a
 * microsecond of crossing into the native library, a copy of 5 KB a tenth of that.
 */
export function encodePack(session: number, offset: number, messages: readonly Outgoing[]): Buffer {
  let length = PACK_HEADER_BYTES
  let previous: Buffer | undefined
  for (const message of messages) {
    length += packedBytes(message, previous)
    previous = message.topic
  }
  const packet = header(length, PACK, session)
  packet.writeUIntLE(offset, 8, 6)
  packet.writeUInt32LE(messages.length, 14)
  let at = PACK_HEADER_BYTES
  previous = undefined
  for (const message of messages) {
    const { topic, bytes } = message
    const topicBytes = topic === previous ? 0 : topic.length
    packet[at] = message.directed ? DIRECTED : 0
    packet.writeUInt16LE(topicBytes, at + 1)
    packet.writeUInt32LE(bytes.length, at + 3)
    at += MESSAGE_HEADER_BYTES
    if (topicBytes > 0) packet.set(topic, at)
    at += topicBytes
    packet.set(bytes, at)
    at += bytes.length
    previous = topic
  }
  return packet
}

/** Where a pack stands in its session, and how many messages it says it holds. */
export function packOffset(packet: Buffer): number {
  return packet.readUIntLE(8, 6)
}

export function packCount(packet: Buffer): number {
  return packet.length < PACK_HEADER_BYTES ? 0 : packet.readUInt32LE(14)
}

/** Whether the lengths of a pack agree with each other, down to its last byte. */
export function isWholePack(packet: Buffer): boolean {
  if (packet.length < PACK_HEADER_BYTES) return false
  const count = packet.readUInt32LE(14)
  let at = PACK_HEADER_BYTES
  for (let index = 0; index < count; index += 1) {
    if (at + MESSAGE_HEADER_BYTES > packet.length) return false
    const topicBytes = packet.readUInt16LE(at + 1)
    const length = packet.readUInt32LE(at + 3)
    if (topicBytes > TOPIC_BYTES_MAX || (topicBytes === 0 && index === 0)) return false
    if (length > MESSAGE_BYTES_MAX) return false
    at += MESSAGE_HEADER_BYTES + topicBytes + length
  }
  return at === packet.length
}

/** Calls `visit` for each message of a whole pack. `bytes` are views into the packet. */
export function readPack(
  packet: Buffer,
  visit: (topic: string, bytes: Buffer, directed: boolean) => void,
): void {
  const count = packet.readUInt32LE(14)
  let at = PACK_HEADER_BYTES
  let topic = ''
  for (let index = 0; index < count; index += 1) {
    const directed = (packet[at]! & DIRECTED) !== 0
    const topicEnd = at + MESSAGE_HEADER_BYTES + packet.readUInt16LE(at + 1)
    const end = topicEnd + packet.readUInt32LE(at + 3)
    at += MESSAGE_HEADER_BYTES
    if (topicEnd > at) topic = packet.toString('utf8', at, topicEnd)
    visit(topic, packet.subarray(topicEnd, end), directed)
    at = end
  }
}
