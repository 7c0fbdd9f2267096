import { once } from 'node:events'
import { createServer, connect as connectTcp } from 'node:net'
import type { AddressInfo } from 'node:net'
import { Dealer, Router } from 'zeromq'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../conformance/eventually.ts'
import type { SpawnedPeer } from '../conformance/spawn-peer.ts'
import { spawnEchoPeer } from '../conformance/spawn-peer.ts'
import type { CreateOptions } from '../conformance/transport-rig.ts'
import {
  MESH,
  OTHER_MESH,
  Rig,
  linkedBoth,
  received,
  subscribed,
  text,
} from '../conformance/transport-rig.ts'
import type { TcpRelay } from '../conformance/tcp-relay.ts'
import { startTcpRelay } from '../conformance/tcp-relay.ts'
import { transportSuite } from '../conformance/transport-suite.ts'
import { BYE, encodeBare, encodeHello, encodePack } from '../links/wire.ts'
import type { PeerId } from '../names.ts'
import { systemClock, systemRandom } from '../system.ts'
import type { PeerTransport } from '../transport.ts'
import { ZeromqTransport } from './zeromq.ts'

const ANY_PORT = 'tcp://127.0.0.1:0'

const portOf = (transport: PeerTransport): number => Number(transport.endpoint!.split(':').at(-1))

async function freeEndpoint(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return `tcp://127.0.0.1:${port}`
}

function create({ endpoint = ANY_PORT, ...options }: CreateOptions): Promise<ZeromqTransport> {
  const bind = endpoint
  return Promise.resolve(
    new ZeromqTransport({
      meshId: MESH,
      clock: systemClock,
      random: systemRandom,
      ...options,
      bind,
    }),
  )
}

const spawnPeer = (bind = ANY_PORT, dials?: string): Promise<SpawnedPeer> =>
  spawnEchoPeer({ name: 'zeromq', meshId: MESH, bind }, dials)

transportSuite('zeromq', {
  capabilities: {
    brokered: false,
    ordered: true,
    replays: false,
    messageBytesMax: 16 * 1024 * 1024,
  },
  setup() {
    const relays: TcpRelay[] = []
    return {
      create,
      spawnPeer,
      freeEndpoint,
      invalidAddresses: [
        '',
        'nonsense',
        'tcp://',
        'tcp://127.0.0.1',
        'tcp://127.0.0.1:99999',
        'tcp://127.0.0.1:http',
        'http://127.0.0.1:80',
      ],
      async breakable(_dialler, listener) {
        const relay = await startTcpRelay(portOf(listener))
        relays.push(relay)
        return { endpoint: `tcp://127.0.0.1:${relay.port}`, cut: () => relay.cut() }
      },
      async stop() {
        for (const relay of relays) await relay.close()
      },
    }
  },
})

describe('zeromq: its own', () => {
  let rig: Rig
  const closers: (() => void | Promise<void>)[] = []

  beforeEach(() => {
    rig = new Rig({ create, spawnPeer })
  })

  afterEach(async () => {
    await rig.stop()
    for (const close of closers.splice(0)) await close()
  })

  function rawDealer(endpoint: string, routingId: string): Dealer {
    const dealer = new Dealer({ routingId, linger: 0, sendTimeout: 1000 })
    dealer.connect(endpoint)
    closers.push(() => dealer.close())
    return dealer
  }

  /** Linked a and b; the test ends with the proof that they still talk. */
  async function bystanders(): Promise<{ a: PeerTransport; stillWorks: () => Promise<void> }> {
    const [b, a] = await rig.peerPair()
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

  it('bind - port 0 and * take a free port, and endpoint says which', async () => {
    for (const endpoint of ['tcp://127.0.0.1:0', 'tcp://127.0.0.1:*']) {
      const transport = await rig.openPeer({ endpoint })
      expect(transport.endpoint).toMatch(/^tcp:\/\/127\.0\.0\.1:[1-9]\d+$/)
    }
  })

  it('no bind - only dials, and can be answered', async () => {
    const a = await rig.openPeer()
    const b = new ZeromqTransport({ meshId: MESH, clock: systemClock, random: systemRandom })
    closers.push(() => b.close())
    await b.open()
    expect(b.endpoint).toBeUndefined()
    b.link(a.endpoint!)
    const got = await subscribed(b, 't/>', a, 't/1')
    a.publish('t/1', text('x'), b.peerId)
    await received(got, 1)
  })

  it('garbage over raw TCP - is counted and harms nobody', async () => {
    const { a, stillWorks } = await bystanders()
    for (const garbage of ['GET / HTTP/1.1\r\n\r\n', '\u0000'.repeat(5000), '\u00ff'.repeat(64)]) {
      const socket = connectTcp(portOf(a), '127.0.0.1')
      socket.on('error', () => {})
      closers.push(() => {
        socket.destroy()
      })
      socket.end(Buffer.from(garbage, 'latin1'))
    }
    await eventually(() => a.counters().rejectedMessages > 0, { what: 'garbage to be counted' })
    await stillWorks()
  })

  it('garbage from a raw DEALER - is counted, part by part wrong', async () => {
    const { a, stillWorks } = await bystanders()
    const dealer = rawDealer(a.endpoint!, 'raw')
    const hello = encodeHello({
      session: 7,
      echo: 0,
      meshId: MESH,
      peerId: 'feedfeedfeedfeed' as PeerId,
      limit: 1000,
      version: 1,
      patterns: ['t/>'],
    })
    const otherVersion = Buffer.from(hello)
    otherVersion[2] = 99
    const otherMesh = Buffer.from(hello)
    otherMesh.write(OTHER_MESH, 12, 'hex')
    const badPattern = encodeHello({
      session: 7,
      echo: 0,
      meshId: MESH,
      peerId: 'feedfeedfeedfeed' as PeerId,
      limit: 1000,
      version: 1,
      patterns: ['a//b'],
    })
    const rejected: (Buffer | Buffer[])[] = [
      Buffer.alloc(0),
      Buffer.from('x'),
      Buffer.from(systemRandom.bytes(1000)),
      [hello, hello],
      otherVersion,
      otherMesh,
      badPattern,
      hello.subarray(0, 30),
      hello.subarray(0, hello.length - 1),
      Buffer.concat([hello, Buffer.from([0])]),
    ]
    for (const message of rejected) await dealer.send(message)
    await eventually(() => a.counters().rejectedMessages === rejected.length, {
      what: 'each to be counted',
    })
    await stillWorks()
  })

  it('a raw DEALER that says hello - and then sends torn packs', async () => {
    const { a } = await bystanders()
    const dealer = rawDealer(a.endpoint!, 'raw')
    const peerId = 'feedfeedfeedfeed' as PeerId
    const session = 7
    await dealer.send(
      encodeHello({ session, echo: 0, meshId: MESH, peerId, limit: 1e6, version: 1, patterns: [] }),
    )
    await eventually(() => a.linked().has(peerId), { what: 'the hello to be taken' })
    const pack = encodePack(session, 0, [
      { topic: Buffer.from('t/1'), bytes: Buffer.alloc(300), directed: false, owned: true },
    ])
    const before = a.counters()
    for (const length of [9, 17, 18, 20, 30, pack.length - 1]) {
      await dealer.send(pack.subarray(0, length))
    }
    await eventually(() => a.counters().rejectedMessages - before.rejectedMessages === 6)
    expect(a.counters().receivedMessages).toBe(before.receivedMessages)
    await dealer.send(pack)
    await eventually(() => a.counters().receivedMessages === before.receivedMessages + 1)
    await dealer.send(encodeBare(BYE, session))
    await eventually(() => !a.linked().has(peerId), { what: 'the goodbye to be taken' })
  })

  it('a packet out of nowhere - is answered with ask, not taken', async () => {
    const { a, stillWorks } = await bystanders()
    const dealer = rawDealer(a.endpoint!, 'raw')
    await dealer.send(encodePack(42, 0, []))
    const [answer] = await dealer.receive()
    expect(answer!.toString('hex')).toBe('534b01042a000000')
    await stillWorks()
  })

  it('a listener that is not Skein - is never up, and never throws', async () => {
    const router = new Router({ linger: 0 })
    await router.bind('tcp://127.0.0.1:*')
    closers.push(() => router.close())
    const a = await rig.openPeer()
    a.link(router.lastEndpoint!)
    const [id] = await router.receive()
    await router.send([id!, 'nonsense'])
    await router.send([id!, Buffer.alloc(0), Buffer.alloc(500)])
    await eventually(() => a.counters().rejectedMessages === 2)
    expect(a.linked().size).toBe(0)
  })

  it('a peer that hangs - is down after three seconds of silence, and comes back', async () => {
    const a = await rig.openPeer()
    const peer = await spawnPeer()
    closers.push(() => peer.kill())
    a.link(peer.endpoint)
    await eventually(() => a.linked().has(peer.peerId))
    const stoppedMs = systemClock.monotonicMs()
    peer.process.kill('SIGSTOP')
    await eventually(() => !a.linked().has(peer.peerId), { what: 'the hung peer to be down' })
    expect(systemClock.monotonicMs() - stoppedMs).toBeGreaterThan(1900)
    expect(systemClock.monotonicMs() - stoppedMs).toBeLessThan(5500)
    expect(a.publish('ask/1', text('x'), peer.peerId)).toBe(false)
    peer.process.kill('SIGCONT')
    await eventually(() => a.linked().has(peer.peerId), { what: 'the woken peer to be back' })
    const got = await new Promise((resolve) => {
      void a.subscribe('answer/*', (batch) => resolve(batch[0]!.bytes.toString()))
      a.publish('ask/1', text('awake'), peer.peerId)
    })
    expect(got).toBe('awake')
  })

  it('a dialler killed - its listener notices long before three seconds', async () => {
    const [, a] = await rig.peerPair()
    const before = a.linked().size
    const peer = await spawnPeer(undefined, a.endpoint)
    await eventually(() => a.linked().has(peer.peerId), { what: 'the dialler linked' })
    const killedMs = systemClock.monotonicMs()
    await peer.kill()
    await eventually(() => a.linked().size === before, { what: 'the dialler gone' })
    expect(systemClock.monotonicMs() - killedMs).toBeLessThan(1500)
  })

  it('a silent network - both sides go down, and up again once it carries', async () => {
    const [a, b] = [await rig.openPeer(), await rig.openPeer()]
    const relay = await startTcpRelay(portOf(b))
    closers.push(() => relay.close())
    a.link(`tcp://127.0.0.1:${relay.port}`)
    await linkedBoth(a, b)
    relay.stall()
    await eventually(() => a.linked().size + b.linked().size === 0, { what: 'both down' })
    relay.resume()
    await linkedBoth(a, b)
  })
})
