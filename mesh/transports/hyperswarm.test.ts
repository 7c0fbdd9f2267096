import DHT from 'hyperdht'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../conformance/eventually.ts'
import type { SpawnedPeer } from '../conformance/spawn-peer.ts'
import { spawnEchoPeer } from '../conformance/spawn-peer.ts'
import type { CreateOptions } from '../conformance/transport-rig.ts'
import {
  MESH,
  linkedBoth,
  numbers,
  publishAll,
  received,
  subscribed,
  text,
} from '../conformance/transport-rig.ts'
import { transportSuite } from '../conformance/transport-suite.ts'
import { systemClock, systemRandom } from '../system.ts'
import { PACKET_BYTES_MAX } from '../links/wire.ts'
import type { PeerTransport } from '../transport.ts'
import type { BootstrapNode } from './hyperswarm-bootstrap.ts'
import { startBootstrap } from './hyperswarm-bootstrap.ts'
import { STREAM_LINK, endpointOf, makeProof, meshSecrets, publicKeyOf } from './hyperswarm-keys.ts'
import { Crashable, HOST, LocalMesh, randomHex } from './hyperswarm-testing.ts'

let bootstrapNode: BootstrapNode

beforeAll(async () => {
  bootstrapNode = await startBootstrap({ host: HOST, port: 0 })
})

afterAll(() => bootstrapNode.close())

/** The seeds of the endpoints that the suite knows: an endpoint is a public key. */
const seeds = new Map<string, string>()

function newEndpoint(): string {
  const seed = randomHex(32)
  const endpoint = endpointOf(DHT.keyPair(Buffer.from(seed, 'hex')).publicKey)
  seeds.set(endpoint, seed)
  return endpoint
}

const local = () => ({
  meshId: MESH,
  meshName: 'test',
  bootstrap: [bootstrapNode.address],
  host: HOST,
  listens: true,
})

const onClocks = { clock: systemClock, random: systemRandom }

/** The cases of the suite link by hand: on one topic they would all find each other. */
function suiteOptions(endpoint = newEndpoint()) {
  const seed = seeds.get(endpoint)
  return {
    ...local(),
    discovers: false,
    // An endpoint that is no public key stands for the address that a user can get wrong.
    ...(seed === undefined ? { bootstrap: [endpoint] } : { seed }),
  }
}

function create({ endpoint, ...options }: CreateOptions): Promise<Crashable> {
  return Promise.resolve(new Crashable({ ...onClocks, ...suiteOptions(endpoint), ...options }))
}

const spawnPeer = (endpoint?: string): Promise<SpawnedPeer> =>
  spawnEchoPeer({ name: 'hyperswarm', ...suiteOptions(endpoint) })

transportSuite('hyperswarm', {
  capabilities: {
    brokered: false,
    ordered: true,
    replays: false,
    messageBytesMax: 16 * 1024 * 1024,
  },
  setup: () => ({
    create,
    spawnPeer,
    freeEndpoint: () => Promise.resolve(newEndpoint()),
    invalidAddresses: [
      '',
      'nonsense',
      'tcp://127.0.0.1:49737',
      'hyperswarm://',
      'hyperswarm://abcdef',
      `hyperswarm://${'z'.repeat(64)}`,
      `hyperswarm://${'a'.repeat(65)}`,
    ],
    breakable: (_dialler, listener) =>
      Promise.resolve({
        endpoint: listener.endpoint!,
        cut: () => (listener as Crashable).cut(),
      }),
  }),
})

describe('hyperswarm: its own', () => {
  let mesh: LocalMesh

  beforeEach(async () => {
    mesh = await LocalMesh.start()
  })

  afterEach(() => mesh.close())

  /** Linked a and b; the test ends with the proof that they still talk. */
  async function bystanders(): Promise<{
    a: PeerTransport
    stillWorks: () => Promise<void>
  }> {
    const [a, b] = [await mesh.open(), await mesh.open()]
    await linkedBoth(a, b)
    const got = await subscribed(a, 't/1', b, 't/1')
    return {
      a,
      async stillWorks() {
        b.publish('t/1', text('works'))
        await received(got, 1)
        expect(got.texts()).toEqual(['works'])
        expect([...a.linked()]).toEqual([b.peerId])
      },
    }
  }

  /** A stream of somebody who speaks hyperswarm and nothing of ours. */
  async function rawStream(to: PeerTransport) {
    const dht = new DHT({ bootstrap: [mesh.bootstrap.address], host: HOST, port: 48_000 })
    mesh.onClose(() => dht.destroy({ force: true }))
    await dht.fullyBootstrapped()
    const stream = dht.connect(publicKeyOf(to.endpoint!), { keyPair: DHT.keyPair() })
    stream.on('error', () => {})
    await stream.opened
    return stream
  }

  async function provenStream(to: PeerTransport) {
    const stream = await rawStream(to)
    const secrets = meshSecrets(mesh.name, '')
    stream.write(makeProof(secrets, stream.handshakeHash!, true, STREAM_LINK))
    return stream
  }

  it('everybody on the topic - is linked, and one that only dials is found by nobody', async () => {
    const [a, b, vehicle, other] = [
      await mesh.open(),
      await mesh.open(),
      await mesh.open({ listens: false }),
      await mesh.open({ listens: false }),
    ]
    for (const [from, to] of [
      [a, b],
      [vehicle, a],
      [vehicle, b],
      [other, a],
    ] as const) {
      await linkedBoth(from, to)
    }
    expect(vehicle.endpoint).toBeUndefined()
    expect(vehicle.linked().has(other.peerId)).toBe(false)
    const got = await subscribed(a, 't/>', vehicle, 't/1')
    const answers = await subscribed(vehicle, 'a/*', a, 'a/1')
    await publishAll(vehicle, 't/1', numbers(1000))
    await received(got, 1000)
    a.publish('a/1', text('answer'), vehicle.peerId)
    await received(answers, 1)
  })

  it('link() to a peer that the topic has linked - makes no second stream', async () => {
    const { a, stillWorks } = await bystanders()
    const b = await mesh.open()
    await linkedBoth(a, b)
    const events: unknown[] = []
    a.onLink((event) => events.push(event))
    a.link(b.endpoint!)
    a.unlink(b.endpoint!)
    await b.close()
    await eventually(() => events.length > 0, { what: 'the topic link to go' })
    expect(events).toEqual([{ peer: b.peerId, up: false }])
    await stillWorks()
  })

  it('two meshes with one name and different keys - do not meet on the topic', async () => {
    const [a, b] = [await mesh.open({ meshKey: 'one' }), await mesh.open({ meshKey: 'one' })]
    const stranger = await mesh.open({ meshKey: 'two' })
    await linkedBoth(a, b)
    expect(stranger.linked().size).toBe(0)
    expect(a.counters().rejectedMessages + b.counters().rejectedMessages).toBe(0)
  })

  it('a wrong key - is refused, counted each time, and told once on both sides', async () => {
    const told: string[] = []
    const toldStranger: string[] = []
    const { a, stillWorks } = await bystanders()
    const b = await mesh.open({ onRefused: (remote) => told.push(remote) })
    const stranger = await mesh.open({
      meshKey: 'another',
      onRefused: (remote) => toldStranger.push(remote),
    })
    stranger.link(b.endpoint!)
    await eventually(() => b.counters().rejectedMessages > 1, { what: 'a second refusal' })
    await eventually(() => stranger.counters().rejectedMessages > 0, { what: 'refused as well' })
    expect(stranger.linked().size).toBe(0)
    expect(told).toEqual([expect.stringMatching(/^127\.0\.0\.1:\d+$/)])
    expect(toldStranger).toEqual([b.endpoint])
    await expect(stranger.connectHttp(b.endpoint!)).rejects.toEqual(
      expect.objectContaining({ code: 'ECONNREFUSED' }),
    )
    await b.close()
    await eventually(() => a.linked().size === 1)
    await stillWorks()
  })

  it('garbage before the proof, or no proof at all - is dropped and counted', async () => {
    const { a, stillWorks } = await bystanders()
    const [garbage, short, silent] = [await rawStream(a), await rawStream(a), await rawStream(a)]
    garbage.write(Buffer.from(systemRandom.bytes(5000)))
    short.write(Buffer.from([1]))
    await eventually(() => a.counters().rejectedMessages === 2, { what: 'garbage to be counted' })
    await eventually(() => garbage.destroying && short.destroying, { what: 'streams to end' })
    await eventually(() => silent.destroying, { what: 'the silent one to be dropped' })
    expect(a.counters().rejectedMessages).toBe(3)
    await stillWorks()
  })

  it('a proof of another stream, or our own sent back - proves nothing', async () => {
    const { a, stillWorks } = await bystanders()
    const [replayed, mirrored] = [await rawStream(a), await rawStream(a)]
    const secrets = meshSecrets(mesh.name, '')
    replayed.write(makeProof(secrets, mirrored.handshakeHash!, true, STREAM_LINK))
    mirrored.on('data', (proof: Buffer) => mirrored.write(proof))
    await eventually(() => a.counters().rejectedMessages === 2, { what: 'both to be counted' })
    await stillWorks()
  })

  it('garbage after the proof - is counted, and too long a packet ends the stream', async () => {
    const { a, stillWorks } = await bystanders()
    const chatty = await provenStream(a)
    for (const packet of [Buffer.from('nonsense'), Buffer.alloc(0), systemRandom.bytes(300)]) {
      const length = Buffer.alloc(4)
      length.writeUInt32LE(packet.length)
      // In pieces: nothing says that a packet is one chunk.
      for (const byte of Buffer.concat([length, packet])) chatty.write(Buffer.from([byte]))
    }
    await eventually(() => a.counters().rejectedMessages === 3, { what: 'each to be counted' })
    const long = await provenStream(a)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(PACKET_BYTES_MAX + 1)
    long.write(length)
    await eventually(() => long.destroying, { what: 'the stream to be ended' })
    expect(a.counters().rejectedMessages).toBe(4)
    await stillWorks()
  })

  it('a peer killed - is gone in seconds; the next one has another key and is found', async () => {
    const [a, vehicle] = [await mesh.open(), await mesh.open({ listens: false })]
    const first = await mesh.spawn()
    await eventually(() => a.linked().has(first.peerId) && vehicle.linked().has(first.peerId))
    const killedMs = systemClock.monotonicMs()
    await first.kill()
    await eventually(() => !a.linked().has(first.peerId) && !vehicle.linked().has(first.peerId))
    expect(systemClock.monotonicMs() - killedMs).toBeLessThan(5500)
    const second = await mesh.spawn()
    const backMs = systemClock.monotonicMs()
    expect(second.endpoint).not.toBe(first.endpoint)
    await eventually(() => a.linked().has(second.peerId) && vehicle.linked().has(second.peerId))
    expect(systemClock.monotonicMs() - backMs).toBeLessThan(9000)
  })

  it('a peer that hangs - is down after three seconds of silence, and comes back', async () => {
    const a = await mesh.open()
    const peer = await mesh.spawn()
    await eventually(() => a.linked().has(peer.peerId))
    const stoppedMs = systemClock.monotonicMs()
    peer.process.kill('SIGSTOP')
    await eventually(() => !a.linked().has(peer.peerId), { what: 'the hung peer to be down' })
    expect(systemClock.monotonicMs() - stoppedMs).toBeGreaterThan(1900)
    expect(systemClock.monotonicMs() - stoppedMs).toBeLessThan(5500)
    peer.process.kill('SIGCONT')
    await eventually(() => a.linked().has(peer.peerId), { what: 'the woken peer to be back' })
  })

  it('no bootstrap node at the start - open() resolves, says so, and recovers', async () => {
    const { address } = mesh.bootstrap
    await mesh.bootstrap.close()
    const told: (string | undefined)[] = []
    const startedMs = systemClock.monotonicMs()
    const [a, b] = await Promise.all([
      mesh.open({ onTrouble: (reason) => told.push(reason) }),
      mesh.open({ listens: false }),
    ])
    expect(systemClock.monotonicMs() - startedMs).toBeLessThan(5000)
    const reason = `no DHT node answers at ${address}: start one with skein bootstrap, or check hyperswarm.bootstrap; trying again`
    expect(a.trouble()).toBe(reason)
    a.link(endpointOf(DHT.keyPair().publicKey))
    await expect(a.connectHttp(a.endpoint!)).rejects.toThrow(reason)
    const node = await startBootstrap({ host: HOST, port: Number(address.split(':')[1]) })
    mesh.onClose(() => node.close())
    await linkedBoth(a, b)
    expect([a.trouble(), b.trouble()]).toEqual([undefined, undefined])
    expect(told).toEqual([reason, undefined])
  })

  it('the bootstrap node restarted - links stay, and new peers are found', async () => {
    const { a, stillWorks } = await bystanders()
    const { address } = mesh.bootstrap
    await mesh.bootstrap.close()
    expect(a.trouble()).toBeUndefined()
    const node = await startBootstrap({ host: HOST, port: Number(address.split(':')[1]) })
    mesh.onClose(() => node.close())
    await stillWorks()
    const late = await mesh.open({ listens: false })
    await eventually(() => late.linked().size === 2, { what: 'the others', deadlineMs: 25_000 })
  })

  it('nobody listens where an HTTP stream goes - is refused soon', async () => {
    const a = await mesh.open()
    const nobody = endpointOf(DHT.keyPair().publicKey)
    await expect(a.connectHttp(nobody)).rejects.toEqual(
      expect.objectContaining({ code: 'ECONNREFUSED' }),
    )
    await expect(a.connectHttp('http://nobody')).rejects.toEqual(
      expect.objectContaining({ code: 'MESH_ADDRESS_INVALID' }),
    )
  })

  it('close() - ends within two seconds when neither DHT nor peers answer', async () => {
    const a = await mesh.open()
    const peer = await mesh.spawn()
    await eventually(() => a.linked().has(peer.peerId))
    a.publish('ask/1', Buffer.alloc(8 * 1024 * 1024), peer.peerId)
    peer.process.kill('SIGSTOP')
    await mesh.bootstrap.close()
    for (const bytes of numbers(20)) a.publish('ask/1', bytes, peer.peerId)
    const startedMs = systemClock.monotonicMs()
    await a.close()
    expect(systemClock.monotonicMs() - startedMs).toBeLessThan(2000)
  })

  it('80 that only dial - all link to one listener and are heard', async () => {
    const listener = await mesh.open()
    const vehicles = await Promise.all(
      Array.from({ length: 80 }, () => mesh.open({ listens: false })),
    )
    await eventually(() => listener.linked().size === 80, { what: 'all 80', deadlineMs: 20_000 })
    const heard = new Set<unknown>()
    await listener.subscribe('t/1', (batch) => {
      for (const { from } of batch) heard.add(from)
    })
    await eventually(
      () => {
        for (const vehicle of vehicles) vehicle.publish('t/1', text('x'))
        return heard.size === 80
      },
      { what: 'all 80 heard', everyMs: 50 },
    )
  })

  it('more traffic than all buffers hold - the link stays and nothing is lost', async () => {
    const [a, b] = [await mesh.open(), await mesh.open()]
    await linkedBoth(a, b)
    const events: unknown[] = []
    a.onLink((event) => events.push(event))
    let bytes = 0
    await b.subscribe('t/1', (batch) => {
      for (const message of batch) bytes += message.bytes.length
    })
    const message = Buffer.alloc(64 * 1024)
    const count = 1000
    await publishAll(
      a,
      't/1',
      Array.from({ length: count }, () => message),
      b.peerId,
    )
    await eventually(() => bytes === count * message.length, {
      what: 'all to arrive',
      deadlineMs: 25_000,
    })
    expect(events).toEqual([])
    expect(a.counters().droppedMessages).toBe(0)
  })

  it('more than maxPeers - are turned away', async () => {
    const listener = await mesh.open({ maxPeers: 2 })
    const vehicles = await Promise.all(
      Array.from({ length: 4 }, () => mesh.open({ listens: false })),
    )
    await eventually(() => listener.linked().size === 2)
    await vehicles[0]!.close()
    await vehicles[1]!.close()
    const last = vehicles.slice(2)
    await eventually(() => last.every((vehicle) => vehicle.linked().size === 1), {
      what: 'the others to take their places',
    })
    expect(listener.linked().size).toBe(2)
  })

  it('thirty killed, still on the topic - do not hide the living', async () => {
    const living = await mesh.open()
    const dead = await Promise.all(Array.from({ length: 30 }, () => mesh.open()))
    await Promise.all(dead.map((transport) => transport.crash()))
    const startedMs = systemClock.monotonicMs()
    const late = await mesh.open({ listens: false })
    await linkedBoth(late, living)
    expect(systemClock.monotonicMs() - startedMs).toBeLessThan(8000)
  })

  it('a seed that is none, a host that is not ours - are refused', async () => {
    const invalid = expect.objectContaining({ code: 'MESH_ADDRESS_INVALID' })
    await expect(mesh.make({ seed: 'abc' }).open()).rejects.toEqual(invalid)
    await expect(mesh.make({ host: '203.0.113.9' }).open()).rejects.toEqual(invalid)
  })
})
