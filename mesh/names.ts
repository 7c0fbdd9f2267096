// Who is who. The ids of architecture.md §2, branded so that one cannot be passed for another.
//
// A lane is one (source, stream, epoch): the place where sequences are dense from 1. A frame's name
// is its lane and its sequence, for ever. In memory a lane is keyed by a LaneKey: the bytes of the
// frame header that hold its three parts (docs/wire-format.md), as a latin1 string, so that a store
// gets the key of an incoming frame with one slice and no decoding.
import type { Random } from './clock.ts'

declare const brand: unique symbol
type Brand<T, Name extends string> = T & { readonly [brand]: Name }

/** A process others talk to or a publisher: 16 hex digits, new at each start. */
export type PeerId = Brand<string, 'PeerId'>
/** One storage peer's disk: 16 hex digits, new when the disk is new. */
export type StoreId = Brand<string, 'StoreId'>
/** The mesh: 16 hex digits, the first 8 bytes of SHA-256 of its name. */
export type MeshId = Brand<string, 'MeshId'>
/** One life of a publisher: 16 hex digits, 48 bits of milliseconds then 16 random bits; sorts by time. */
export type Epoch = Brand<string, 'Epoch'>
/** 16 hex digits: the first 8 bytes of SHA-256 of the canonical JSON Schema. */
export type SchemaId = Brand<string, 'SchemaId'>
/** (source, stream, epoch) as the latin1 string of its header bytes. */
export type LaneKey = Brand<string, 'LaneKey'>

/** A lane key's bytes besides its two names: their lengths, and the epoch. */
export const LANE_KEY_HEAD_BYTES = 10

export interface Lane {
  readonly source: string
  readonly stream: string
  readonly epoch: Epoch
}

/** Longest source or stream name, in UTF-8 bytes: each length is one byte of the header. */
export const NAME_BYTES_MAX = 255

/** Stream names stand in topics and file names, so they keep to a plain alphabet. */
export const STREAM_NAME = /^[A-Za-z0-9_.-]+$/

const EPOCH_MS_MAX = 2 ** 48 - 1

export function newPeerId(random: Random): PeerId {
  return Buffer.from(random.bytes(8)).toString('hex') as PeerId
}

export function newStoreId(random: Random): StoreId {
  return Buffer.from(random.bytes(8)).toString('hex') as StoreId
}

/** @throws RangeError when `nowUs` does not fit 48 bits of milliseconds. */
export function newEpoch(nowUs: number, random: Random): Epoch {
  const ms = Math.floor(nowUs / 1000)
  if (!(ms >= 0 && ms <= EPOCH_MS_MAX)) throw new RangeError(`epoch time ${nowUs} µs out of range`)
  const bytes = Buffer.alloc(8)
  bytes.writeUIntBE(ms, 0, 6)
  bytes.set(random.bytes(2), 6)
  return bytes.toString('hex') as Epoch
}

/** When the epoch began, in microseconds since the Unix epoch (millisecond resolution). */
export function epochStartUs(epoch: Epoch): number {
  return Number.parseInt(epoch.slice(0, 12), 16) * 1000
}

/** @throws RangeError when a name cannot stand in a frame, or the epoch is not 16 hex digits. */
export function laneKey(source: string, stream: string, epoch: Epoch): LaneKey {
  const sourceBytes = Buffer.from(checkName('source', source), 'utf8')
  const streamBytes = Buffer.from(checkName('stream', stream), 'utf8')
  const epochBytes = Buffer.from(epoch, 'hex')
  if (epoch.length !== 16 || epochBytes.length !== 8) {
    throw new RangeError(`epoch ${JSON.stringify(epoch)} is not 16 hex digits`)
  }
  const head = Buffer.from([sourceBytes.length, streamBytes.length])
  const key = Buffer.concat([head, epochBytes, sourceBytes, streamBytes])
  return key.toString('latin1') as LaneKey
}

export function parseLaneKey(key: LaneKey): Lane {
  const bytes = Buffer.from(key, 'latin1')
  const sourceEnd = LANE_KEY_HEAD_BYTES + bytes[0]!
  return {
    source: bytes.toString('utf8', LANE_KEY_HEAD_BYTES, sourceEnd),
    stream: bytes.toString('utf8', sourceEnd, sourceEnd + bytes[1]!),
    epoch: bytes.toString('hex', 2, LANE_KEY_HEAD_BYTES) as Epoch,
  }
}

/** Returns the name when it can stand in a frame. @throws RangeError with the reason otherwise. */
export function checkName(what: 'source' | 'stream', name: string): string {
  const length = Buffer.byteLength(name, 'utf8')
  if (length === 0) throw new RangeError(`${what} name is empty`)
  if (length > NAME_BYTES_MAX) {
    throw new RangeError(`${what} name has ${length} bytes, at most ${NAME_BYTES_MAX} are allowed`)
  }
  if (!name.isWellFormed()) throw new RangeError(`${what} name is not well-formed Unicode`)
  if (what === 'stream' && !STREAM_NAME.test(name)) {
    throw new RangeError(`stream name ${JSON.stringify(name)} may hold only letters, digits, . _ -`)
  }
  return name
}
