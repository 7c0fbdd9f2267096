// The envelope of a telemetry message: who sends, in which mesh, the level its acks are wanted at, and
// one or more frames of one topic.
//
//   0        4          12           20       23      24
//   | SKM 1  | mesh id  | publisher  | count  | level | length u32, frame | length u32, frame | …
//   | magic  | 8 bytes  | 8 bytes    | u24    | u8    |
import { ACK_LEVELS, type AckLevel } from './ack.ts'
import { FRAME_BYTES_MAX, FRAME_HEADER_BYTES } from './frame.ts'
import type { MeshId, PeerId } from './names.ts'
import type { Transport } from './transport.ts'

const MAGIC = 0x014d4b53
export const MESSAGE_HEADER_BYTES = 24
/** Bytes of frames beyond which a publisher starts the next message. */
export const MESSAGE_BYTES_TARGET = 256 * 1024
/**
 * Levels in the order of their numbers here, which is not that of an ack: `synced` is 0, so that the
 * usual message has the bytes it had when there was nothing to choose.
 */
const LEVELS: readonly AckLevel[] = ACK_LEVELS.toReversed()
/** Of each frame, beside the frame. */
const FRAME_LENGTH_BYTES = 4
/** What a frame takes of a message. */
export const bytesInMessage = (frameBytes: number): number => frameBytes + FRAME_LENGTH_BYTES

/** How large messages with several frames should become on a transport. */
export function messageBytesTarget({ capabilities }: Pick<Transport, 'capabilities'>): number {
  return Math.min(MESSAGE_BYTES_TARGET, capabilities.messageBytesMax - MESSAGE_HEADER_BYTES)
}

/** The largest frame that gets through a transport. */
export function frameBytesMax({ capabilities }: Pick<Transport, 'capabilities'>): number {
  return capabilities.messageBytesMax - MESSAGE_HEADER_BYTES - FRAME_LENGTH_BYTES
}

export interface Envelope {
  readonly meshId: MeshId
  readonly publisher: PeerId
  /** What its publisher counts as stored. */
  readonly level: AckLevel
  /** Views into the message, not copies; not yet checked by readFrame. */
  readonly frames: readonly Buffer[]
}

/** Why bytes are not a message of this mesh. Counted, never thrown. */
export type MessageFault = 'short' | 'magic' | 'mesh' | 'length' | 'level'

export function encodeMessage(
  meshId: MeshId,
  publisher: PeerId,
  frames: readonly Buffer[],
  level: AckLevel = 'synced',
): Buffer {
  let size = MESSAGE_HEADER_BYTES
  for (const frame of frames) size += 4 + frame.length
  const bytes = Buffer.allocUnsafe(size)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.write(meshId, 4, 8, 'hex')
  bytes.write(publisher, 12, 8, 'hex')
  bytes.writeUIntLE(frames.length, 20, 3)
  bytes[23] = LEVELS.indexOf(level)
  let at = MESSAGE_HEADER_BYTES
  for (const frame of frames) {
    bytes.writeUInt32LE(frame.length, at)
    bytes.set(frame, at + 4)
    at += 4 + frame.length
  }
  return bytes
}

export function readMessage(bytes: Buffer, meshId: MeshId): Envelope | MessageFault {
  if (bytes.length < MESSAGE_HEADER_BYTES) return 'short'
  if (bytes.readUInt32LE(0) !== MAGIC) return 'magic'
  if (bytes.toString('hex', 4, 12) !== meshId) return 'mesh'
  const count = bytes.readUIntLE(20, 3)
  const level = LEVELS[bytes[23]!]
  if (level === undefined) return 'level'
  const frames: Buffer[] = []
  let at = MESSAGE_HEADER_BYTES
  for (let i = 0; i < count; i++) {
    if (at + 4 > bytes.length) return 'length'
    const length = bytes.readUInt32LE(at)
    if (length < FRAME_HEADER_BYTES || length > FRAME_BYTES_MAX) return 'length'
    if (at + 4 + length > bytes.length) return 'length'
    frames.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  if (at !== bytes.length) return 'length'
  return { meshId, publisher: bytes.toString('hex', 12, 20) as PeerId, level, frames }
}
