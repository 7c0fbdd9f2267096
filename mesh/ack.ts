// An acknowledgement: the state of some lanes at one store, not an event. Losing one costs nothing,
// the next states at least as much. A store sends it to `a/<publisher>` after each commit that held
// frames of that publisher, and again for duplicates.
//
//   0        4          12         20      21        25       29          33
//   | SKA 1  | mesh id  | store id | level | grant   | lanes  | conflicts | entries …
//   | magic  | 8 bytes  | 8 bytes  | u8    | KiB u32 | u32    | u32       |
//
//   lane entry     key length u16, lane key (frame bytes 50…), run count u16, runs (first u48, last u48)
//   conflict entry key length u16, lane key, sequence u48
import type { LaneKey, MeshId, StoreId } from './names.ts'

/** How durable an acknowledged frame is at that store; ordered, each includes those before it. */
export const ACK_LEVELS = ['received', 'written', 'synced'] as const
export type AckLevel = (typeof ACK_LEVELS)[number]

export interface LaneAck {
  readonly lane: LaneKey
  /** Flat [a0, b0, …]: runs this store holds at the ack's level around the frames acknowledged. */
  readonly runs: readonly number[]
}

/** The store holds other bytes under this name. */
export interface Conflict {
  readonly lane: LaneKey
  readonly sequence: number
}

export interface Ack {
  readonly storeId: StoreId
  readonly level: AckLevel
  /** Bytes this publisher may have sent to the store without its ack. */
  readonly grantBytes: number
  readonly lanes: readonly LaneAck[]
  readonly conflicts: readonly Conflict[]
}

const MAGIC = 0x01414b53
const HEADER_BYTES = 33

/** Cuts what is to be acknowledged into acks that a transport takes. */
export function* ackParts(
  lanes: Iterable<LaneAck>,
  conflicts: readonly Conflict[],
  messageBytesMax: number,
): Generator<Pick<Ack, 'lanes' | 'conflicts'>> {
  let part: { lanes: LaneAck[]; conflicts: Conflict[] } = { lanes: [], conflicts: [] }
  let size = HEADER_BYTES
  const fits = (bytes: number): boolean => size === HEADER_BYTES || size + bytes <= messageBytesMax
  for (const entry of [...lanes, ...conflicts]) {
    const bytes = 'runs' in entry ? laneBytes(entry) : conflictBytes(entry)
    if (!fits(bytes)) {
      yield part
      part = { lanes: [], conflicts: [] }
      size = HEADER_BYTES
    }
    if ('runs' in entry) part.lanes.push(entry)
    else part.conflicts.push(entry)
    size += bytes
  }
  if (size > HEADER_BYTES) yield part
}

const laneBytes = ({ lane, runs }: LaneAck): number => 4 + lane.length + runs.length * 6
const conflictBytes = ({ lane }: Conflict): number => 8 + lane.length

export function encodeAck(meshId: MeshId, ack: Ack): Buffer {
  let size = HEADER_BYTES
  for (const lane of ack.lanes) size += laneBytes(lane)
  for (const conflict of ack.conflicts) size += conflictBytes(conflict)
  const bytes = Buffer.allocUnsafe(size)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.write(meshId, 4, 8, 'hex')
  bytes.write(ack.storeId, 12, 8, 'hex')
  bytes[20] = ACK_LEVELS.indexOf(ack.level)
  bytes.writeUInt32LE(Math.floor(ack.grantBytes / 1024), 21)
  bytes.writeUInt32LE(ack.lanes.length, 25)
  bytes.writeUInt32LE(ack.conflicts.length, 29)
  let at = HEADER_BYTES
  for (const { lane, runs } of ack.lanes) {
    at = writeLane(bytes, at, lane)
    at = bytes.writeUInt16LE(runs.length / 2, at)
    for (const sequence of runs) at = bytes.writeUIntLE(sequence, at, 6)
  }
  for (const { lane, sequence } of ack.conflicts) {
    at = writeLane(bytes, at, lane)
    at = bytes.writeUIntLE(sequence, at, 6)
  }
  return bytes
}

/** Undefined for anything that is not an ack of this mesh. */
export function readAck(bytes: Buffer, meshId: MeshId): Ack | undefined {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC) return undefined
  if (bytes.toString('hex', 4, 12) !== meshId) return undefined
  const level = ACK_LEVELS[bytes[20]!]
  if (level === undefined) return undefined
  const laneCount = bytes.readUInt32LE(25)
  const conflictCount = bytes.readUInt32LE(29)
  const lanes: LaneAck[] = []
  const conflicts: Conflict[] = []
  let at = HEADER_BYTES
  try {
    for (let i = 0; i < laneCount; i++) {
      const lane = readLane(bytes, at)
      at += 2 + lane.length
      const runs: number[] = []
      const runsEnd = at + 2 + bytes.readUInt16LE(at) * 12
      for (at += 2; at < runsEnd; at += 6) runs.push(bytes.readUIntLE(at, 6))
      lanes.push({ lane, runs })
    }
    for (let i = 0; i < conflictCount; i++) {
      const lane = readLane(bytes, at)
      at += 2 + lane.length
      conflicts.push({ lane, sequence: bytes.readUIntLE(at, 6) })
      at += 6
    }
  } catch (error) {
    // A read past the end: the ack is cut short.
    if (error instanceof RangeError) return undefined
    throw error
  }
  const storeId = bytes.toString('hex', 12, 20) as StoreId
  return { storeId, level, grantBytes: bytes.readUInt32LE(21) * 1024, lanes, conflicts }
}

function writeLane(bytes: Buffer, at: number, lane: LaneKey): number {
  bytes.writeUInt16LE(lane.length, at)
  return at + 2 + bytes.write(lane, at + 2, 'latin1')
}

function readLane(bytes: Buffer, at: number): LaneKey {
  const end = at + 2 + bytes.readUInt16LE(at)
  if (end > bytes.length) throw new RangeError('ack is cut short')
  return bytes.toString('latin1', at + 2, end) as LaneKey
}
