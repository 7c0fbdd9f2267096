import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MeshId, PeerId } from '../names.ts'
import type { Hello, Outgoing } from './wire.ts'
import {
  HEARTBEAT,
  HELLO,
  PACK,
  decodeHeartbeat,
  decodeHello,
  encodeHeartbeat,
  encodeHello,
  encodePack,
  isWholePack,
  packCount,
  packOffset,
  packedBytes,
  packetKind,
  packetSession,
  readPack,
} from './wire.ts'

interface Read {
  topic: string
  bytes: string
  directed: boolean
}

function read(packet: Buffer): Read[] {
  const messages: Read[] = []
  readPack(packet, (topic, bytes, directed) => {
    messages.push({ topic, bytes: bytes.toString('hex'), directed })
  })
  return messages
}

const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 })
const hexId = fc
  .uint8Array({ minLength: 8, maxLength: 8 })
  .map((bytes) => Buffer.from(bytes).toString('hex'))
const topics = ['t/1/x', 't/10/vehicle.motion', 'a/00112233', 'm/peers', 't/1/東京'].map((topic) =>
  Buffer.from(topic),
)
const messages: fc.Arbitrary<Outgoing[]> = fc.array(
  fc.record({
    topic: fc.constantFrom(...topics),
    bytes: fc.uint8Array({ maxLength: 300 }),
    directed: fc.boolean(),
    owned: fc.boolean(),
  }),
  { maxLength: 40 },
)

const hello: fc.Arbitrary<Hello> = fc.record({
  session: u32,
  echo: u32,
  meshId: hexId as fc.Arbitrary<MeshId>,
  peerId: hexId as fc.Arbitrary<PeerId>,
  limit: u48,
  version: u32,
  patterns: fc.array(fc.string({ unit: 'grapheme', maxLength: 40 })),
})

/** Does to a packet what a link does: nothing of it may throw. */
function digest(packet: Buffer): void {
  const kind = packetKind(packet)
  if (kind === undefined) return
  packetSession(packet)
  if (kind === HELLO) decodeHello(packet)
  if (kind === HEARTBEAT) decodeHeartbeat(packet)
  if (kind !== PACK) return
  packCount(packet)
  if (!isWholePack(packet)) return
  packOffset(packet)
  read(packet)
}

describe('packets', () => {
  it('pack - round trip, and the size is what packedBytes foretold', () => {
    fc.assert(
      fc.property(u32, u48, messages, (session, offset, sent) => {
        const packet = encodePack(session, offset, sent)
        expect(packetKind(packet)).toBe(PACK)
        expect(packetSession(packet)).toBe(session)
        expect(packOffset(packet)).toBe(offset)
        expect(packCount(packet)).toBe(sent.length)
        expect(isWholePack(packet)).toBe(true)
        expect(read(packet)).toEqual(
          sent.map(({ topic, bytes, directed }) => ({
            topic: topic.toString(),
            bytes: Buffer.from(bytes).toString('hex'),
            directed,
          })),
        )
        const foretold = sent.map((message, index) => packedBytes(message, sent[index - 1]?.topic))
        expect(packet.length).toBe(foretold.reduce((sum, bytes) => sum + bytes, 18))
      }),
    )
  })

  it('hello and heartbeat - round trip', () => {
    fc.assert(
      fc.property(hello, u48, u48, u32, (said, sent, limit, seenVersion) => {
        const packet = encodeHello(said)
        expect(packetKind(packet)).toBe(HELLO)
        expect(decodeHello(packet)).toEqual(said)
        const heartbeat = { sent, limit, seenVersion }
        expect(decodeHeartbeat(encodeHeartbeat(said.session, heartbeat))).toEqual(heartbeat)
      }),
    )
  })

  it('random bytes - never throw', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.integer({ min: 0, max: 6 }),
        (bytes, kind) => {
          const random = Buffer.from(bytes)
          digest(random)
          digest(Buffer.concat([Buffer.from([0x53, 0x4b, 1, kind]), random]))
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('a pack cut short or grown - is not whole', () => {
    fc.assert(
      fc.property(messages, fc.nat(), (sent, seed) => {
        const packet = encodePack(1, 0, sent)
        expect(isWholePack(packet.subarray(0, seed % packet.length))).toBe(false)
        expect(isWholePack(Buffer.concat([packet, Buffer.from([0])]))).toBe(false)
      }),
    )
  })

  it('a flipped byte - never throws', () => {
    fc.assert(
      fc.property(
        messages,
        hello,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (sent, said, at, flip) => {
          for (const packet of [encodePack(1, 0, sent), encodeHello(said)]) {
            packet[at % packet.length]! ^= flip
            digest(packet)
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})
