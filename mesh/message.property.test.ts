import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ACK_LEVELS, encodeAck, readAck, type Ack } from './ack.ts'
import { encodeAnnouncement, readAnnouncement, type Announcement } from './announcement.ts'
import { encodeMessage, readMessage } from './message.ts'
import {
  laneKey,
  type Epoch,
  type LaneKey,
  type MeshId,
  type PeerId,
  type StoreId,
} from './names.ts'

const MESH = '00112233445566ff' as MeshId
const id = fc
  .uint8Array({ minLength: 8, maxLength: 8 })
  .map((bytes) => Buffer.from(bytes).toString('hex'))
const frames = fc.array(
  fc.uint8Array({ minLength: 60, maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
)
const key: fc.Arbitrary<LaneKey> = fc
  .tuple(fc.stringMatching(/^[a-zA-Zé]{1,20}$/), fc.stringMatching(/^[a-z.]{1,20}$/), id)
  .map(([source, stream, epoch]) => laneKey(source, stream, epoch as Epoch))
const sequence = fc.integer({ min: 1, max: 2 ** 48 - 1 })
const ack: fc.Arbitrary<Ack> = fc.record({
  storeId: id.map((text) => text as StoreId),
  level: fc.constantFrom(...ACK_LEVELS),
  grantBytes: fc.integer({ min: 0, max: 1 << 20 }).map((kib) => kib * 1024),
  lanes: fc.array(
    fc.record({
      lane: key,
      runs: fc.array(fc.tuple(sequence, sequence)).map((runs) => runs.flat()),
    }),
  ),
  conflicts: fc.array(fc.record({ lane: key, sequence })),
})

/** Flips, cuts or extends bytes. */
const damage = fc.record({ at: fc.nat(), value: fc.nat(255), cut: fc.nat(40), more: fc.boolean() })

function damaged(
  bytes: Buffer,
  { at, value, cut, more }: { at: number; value: number; cut: number; more: boolean },
): Buffer {
  const copy = Buffer.from(bytes)
  if (copy.length > 0) copy[at % copy.length] = value
  return more
    ? Buffer.concat([copy, Buffer.alloc(cut, value)])
    : copy.subarray(0, Math.max(0, copy.length - cut))
}

describe('what travels', () => {
  it('a message comes back as it was', () => {
    fc.assert(
      fc.property(id, frames, fc.constantFrom(...ACK_LEVELS), (publisher, given, level) => {
        const message = readMessage(encodeMessage(MESH, publisher as PeerId, given, level), MESH)
        expect(message).toEqual({ meshId: MESH, publisher, level, frames: given })
      }),
    )
  })

  it('a message asks for synced acks unless it says otherwise, and for no others than there are', () => {
    const bytes = encodeMessage(MESH, '0000000000000001' as PeerId, [])
    expect(bytes[23]).toBe(0)
    expect(readMessage(bytes, MESH)).toMatchObject({ level: 'synced' })
    bytes[23] = ACK_LEVELS.length
    expect(readMessage(bytes, MESH)).toBe('level')
  })

  it('a message of another mesh is refused', () => {
    const bytes = encodeMessage('ffffffffffffffff' as MeshId, '0000000000000001' as PeerId, [])
    expect(readMessage(bytes, MESH)).toBe('mesh')
  })

  it('an ack comes back as it was', () => {
    fc.assert(
      fc.property(ack, (given) => {
        expect(readAck(encodeAck(MESH, given), MESH)).toEqual(given)
      }),
    )
  })

  it('damaged bytes never throw, and never cost more than their length', () => {
    fc.assert(
      fc.property(ack, frames, damage, (given, parts, how) => {
        readAck(damaged(encodeAck(MESH, given), how), MESH)
        const message = readMessage(
          damaged(encodeMessage(MESH, '0000000000000001' as PeerId, parts), how),
          MESH,
        )
        if (typeof message === 'object')
          expect(message.frames.length).toBeLessThanOrEqual(parts.length + 10)
      }),
      { numRuns: 500 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        readAck(Buffer.from(bytes), MESH)
        readMessage(Buffer.from(bytes), MESH)
        expect(readAnnouncement(Buffer.from(bytes))).toBeUndefined()
      }),
    )
  })

  it('an announcement comes back as it was, and one that is not whole is refused', () => {
    const announcement: Announcement = {
      mesh: MESH,
      meshName: 'test',
      replicas: 2,
      writeQuorum: 2,
      grantBytes: 1024,
      self: {
        id: '0000000000000001' as PeerId,
        incarnation: 5,
        roles: ['storage'],
        joined: true,
      },
      members: new Map([['00000000000000aa' as StoreId, 'member']]),
      known: [
        {
          id: '0000000000000002' as PeerId,
          incarnation: 1,
          roles: [],
          heardMsAgo: 3.5,
        },
      ],
    }
    const bytes = encodeAnnouncement(announcement)
    expect(readAnnouncement(bytes)).toMatchObject(announcement)
    expect(readAnnouncement(bytes.subarray(0, -1))).toBeUndefined()
    const foreign = JSON.parse(bytes.toString()) as { self: { id: string } }
    foreign.self.id = 'not an id'
    expect(readAnnouncement(Buffer.from(JSON.stringify(foreign)))).toBeUndefined()
  })
})
