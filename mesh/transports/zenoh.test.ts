import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Session } from '@eclipse-zenoh/zenoh-ts'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { RunningZenoh } from '../../systems/index.ts'
import { startSystem } from '../../systems/index.ts'
import { systemSuite } from '../../systems/testing.ts'
import { eventually } from '../conformance/eventually.ts'
import type { SpawnedPeer } from '../conformance/spawn-peer.ts'
import { spawnEchoPeer } from '../conformance/spawn-peer.ts'
import type { TcpRelay } from '../conformance/tcp-relay.ts'
import { startTcpRelay } from '../conformance/tcp-relay.ts'
import type { Collector, CreateOptions } from '../conformance/transport-rig.ts'
import {
  MESH,
  arrives,
  linkedBoth,
  numbers,
  publishAll,
  received,
  subscribed,
  text,
} from '../conformance/transport-rig.ts'
import { transportSuite } from '../conformance/transport-suite.ts'
import { encodeHello } from '../links/wire.ts'
import type { PeerId } from '../names.ts'
import { systemClock, systemRandom } from '../system.ts'
import type { PeerTransport } from '../transport.ts'
import { loadZenoh } from './zenoh-client.ts'
import type { ZenohOptions } from './zenoh.ts'
import { ZenohTransport } from './zenoh.ts'

const MIB = 1024 * 1024

let bridge: RunningZenoh
let meshes = 0

const newMeshName = (): string => {
  meshes += 1
  return `mesh ${meshes}/*`
}

const portOf = (url: string): number => Number(new URL(url).port)

function makeTransport(options: Partial<ZenohOptions>): ZenohTransport {
  return new ZenohTransport({
    meshId: MESH,
    meshName: 'mesh',
    bridge: bridge.address,
    listens: true,
    clock: systemClock,
    random: systemRandom,
    ...options,
  })
}

systemSuite('zenoh', () => {
  beforeAll(async () => {
    bridge = await startSystem('zenoh')
  })

  afterAll(() => bridge.stop())

  transportSuite('zenoh', {
    capabilities: {
      brokered: false,
      ordered: true,
      replays: false,
      messageBytesMax: 16 * MIB,
    },
    setup() {
      const meshName = newMeshName()
      const relays = new Map<PeerId, TcpRelay>()
      let names = 0
      return {
        // Cases link by hand; each transport reaches the bridge through a relay of its own.
        async create({ endpoint, ...options }: CreateOptions) {
          const relay = await startTcpRelay(portOf(bridge.address))
          const transport = makeTransport({
            meshName,
            finds: false,
            bridge: `ws://127.0.0.1:${relay.port}`,
            ...(endpoint !== undefined && { bind: endpoint }),
            ...options,
          })
          relays.set(transport.peerId, relay)
          return transport
        },
        spawnPeer: (bind = 'zenoh://spawned') =>
          spawnEchoPeer({
            name: 'zenoh',
            meshId: MESH,
            meshName,
            bridge: bridge.address,
            listens: true,
            finds: false,
            bind,
          }),
        freeEndpoint() {
          names += 1
          return Promise.resolve(`zenoh://name-${names}`)
        },
        invalidAddresses: [
          '',
          'nonsense',
          'zenoh://',
          'zenoh://a/b',
          'zenoh://*',
          'zenoh://@',
          `zenoh://${'x'.repeat(65)}`,
          'tcp://127.0.0.1:7701',
        ],
        breakable: (dialler, listener) =>
          Promise.resolve({
            endpoint: listener.endpoint!,
            cut: () => relays.get(dialler.peerId)!.cut(),
          }),
        async stop() {
          for (const relay of relays.values()) await relay.close()
        },
      }
    },
  })

  describe('zenoh: its own', () => {
    let meshName: string
    const closers: (() => unknown)[] = []

    beforeEach(() => {
      meshName = newMeshName()
    })

    afterEach(async () => {
      for (const close of closers.splice(0).reverse()) await close()
    })

    async function open(options: Partial<ZenohOptions> = {}): Promise<ZenohTransport> {
      const transport = makeTransport({ meshName, ...options })
      closers.push(() => transport.close())
      await transport.open()
      return transport
    }

    async function spawnPeer(listens: boolean, dials?: string): Promise<SpawnedPeer> {
      const { address } = bridge
      const peer = await spawnEchoPeer(
        { name: 'zenoh', meshId: MESH, meshName, bridge: address, listens },
        dials,
      )
      closers.push(() => peer.kill())
      return peer
    }

    async function startBridge(connect: readonly string[] = []): Promise<RunningZenoh> {
      const started = await startSystem('zenoh', { zenoh: { connect } })
      closers.push(() => started.stop())
      return started
    }

    async function startServer(server: Server): Promise<string> {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      closers.push(() => server.close())
      return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
    }

    /** Publishes numbers until stopped, and returns how many. */
    function stream(from: PeerTransport, bytes = 16): () => Promise<number> {
      const stopping = new AbortController()
      const done = (async () => {
        let count = 0
        for (; !stopping.signal.aborted; count += 1) {
          const message = Buffer.alloc(bytes)
          message.writeUInt32LE(count)
          if (!from.publish('t/1', message)) await from.flush()
          if (count % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
        }
        return count
      })()
      return () => {
        stopping.abort()
        return done
      }
    }

    function expectRising(got: Collector): void {
      const order = got.messages.map(({ bytes }) => bytes.readUInt32LE())
      expect(order.every((value, index) => index === 0 || value > order[index - 1]!)).toBe(true)
    }

    it('discovery - those that listen find each other, and hear each message once', async () => {
      const all = [await open(), await open(), await open({ bind: 'zenoh://store-a' })]
      for (const a of all) {
        for (const b of all) if (a !== b) await linkedBoth(a, b)
      }
      const got = await subscribed(all[0]!, 't/1', all[1]!, 't/1')
      await publishAll(all[1]!, 't/1', numbers(100))
      await received(got, 100)
      expect(got.texts()).toEqual([...numbers(100)].map(String))
      expect(all.map((transport) => transport.linked().size)).toEqual([2, 2, 2])
    })

    it('discovery - one that only dials finds those that listen, and nobody finds it', async () => {
      const [vehicle, other] = [await open({ listens: false }), await open({ listens: false })]
      expect(vehicle.endpoint).toBeUndefined()
      const store = await open()
      await linkedBoth(vehicle, store)
      await linkedBoth(other, store)
      expect([...vehicle.linked()]).toEqual([store.peerId])
      const got = await subscribed(vehicle, 'a/*', store, 'a/1')
      store.publish('a/1', text('x'), vehicle.peerId)
      await received(got, 1)
    })

    it('meshes - of two names are apart, in one bridge', async () => {
      const [a, b] = [await open(), await open({ meshName: `${meshName}x` })]
      const [c, d] = [await open(), await open({ meshName: `${meshName}x` })]
      await linkedBoth(a, c)
      await linkedBoth(b, d)
      expect([a, b].map((transport) => [...transport.linked()])).toEqual([[c.peerId], [d.peerId]])
      expect(a.counters().rejectedMessages + b.counters().rejectedMessages).toBe(0)
    })

    it.each([true, false])('a peer killed - is seen at once; it listens: %s', async (listens) => {
      const a = await open()
      const peer = await spawnPeer(listens)
      await eventually(() => a.linked().has(peer.peerId), { what: 'the peer linked' })
      const killedMs = systemClock.monotonicMs()
      await peer.kill()
      await eventually(() => a.linked().size === 0, { what: 'the peer gone' })
      expect(systemClock.monotonicMs() - killedMs).toBeLessThan(1500)
    })

    it('a peer that hangs - is down after three seconds of silence, and comes back', async () => {
      const a = await open()
      const peer = await spawnPeer(true)
      await eventually(() => a.linked().has(peer.peerId))
      peer.process.kill('SIGSTOP')
      await eventually(() => !a.linked().has(peer.peerId), { what: 'the hung peer to be down' })
      peer.process.kill('SIGCONT')
      await eventually(() => a.linked().has(peer.peerId), { what: 'the woken peer to be back' })
    })

    it('bridge killed and restarted mid-stream - links go and come back, in order', async () => {
      const own = await startBridge()
      const troubles: (string | undefined)[] = []
      const a = await open({ bridge: own.address, onTrouble: (reason) => troubles.push(reason) })
      const b = await open({ bridge: own.address })
      await linkedBoth(a, b)
      const got = await subscribed(b, 't/1', a, 't/1')
      const stop = stream(a)
      for (let round = 0; round < 2; round += 1) {
        const before = got.messages.length
        await received(got, before + 1000)
        await own.kill()
        await eventually(() => a.linked().size + b.linked().size === 0, { what: 'links down' })
        await eventually(() => a.trouble() !== undefined && b.trouble() !== undefined)
        await own.restart()
        await linkedBoth(a, b)
        await arrives(a, 't/1', got)
        expect(a.trouble()).toBeUndefined()
      }
      await stop()
      expectRising(got)
      expect(troubles[0]).toMatch(/^lost the Zenoh bridge at ws:\/\/127\.0\.0\.1:\d+: /)
      expect(troubles.at(-1)).toBeUndefined()
    })

    it('bridge away at the start - is said, and joined once it is there', async () => {
      const own = await startBridge()
      await own.kill()
      const a = await open({ bridge: own.address })
      expect(a.trouble()).toMatch(
        /^no Zenoh bridge answers at ws:.*ECONNREFUSED.*: start zenoh-bridge-remote-api 1\.10 there \(npm run systems -- install zenoh/,
      )
      const b = await open({ bridge: own.address })
      expect(a.publish('t/1', text('x'), b.peerId)).toBe(false)
      a.publish('t/1', text('x'))
      await a.flush()
      await own.restart()
      await linkedBoth(a, b)
      expect(a.trouble()).toBeUndefined()
    })

    it('bridge stalled 20 s under load - is said, bounded, and over when it goes on', async () => {
      const own = await startBridge()
      const [a, b] = [await open({ bridge: own.address }), await open({ bridge: own.address })]
      const c = await open({ bridge: own.address, listens: false })
      await linkedBoth(a, b)
      await linkedBoth(b, c)
      const got = await subscribed(b, 't/1', a, 't/1')
      const stopStreams = [stream(a, 50_000), stream(c, 1000)]
      await received(got, 1000)
      const stalledMs = systemClock.monotonicMs()
      process.kill(own.pid, 'SIGSTOP')
      const rssBefore = process.memoryUsage().rss
      let rssMax = 0
      await eventually(() => [a, b, c].every((transport) => transport.linked().size === 0))
      await eventually(() => [a, b, c].every((transport) => transport.trouble() !== undefined))
      expect(a.trouble()).toMatch(/^the Zenoh bridge at .* does not answer/)
      await eventually(
        () => {
          rssMax = Math.max(rssMax, process.memoryUsage().rss)
          return systemClock.monotonicMs() - stalledMs > 20_000
        },
        { what: '20 s to pass', deadlineMs: 25_000, everyMs: 100 },
      )
      expect(a.trouble()).toMatch(/no answer within 5000 ms/)
      process.kill(own.pid, 'SIGCONT')
      await linkedBoth(a, b)
      await linkedBoth(b, c)
      await arrives(a, 't/1', got)
      await Promise.all(stopStreams.map((stop) => stop()))
      expect(a.trouble()).toBeUndefined()
      expect(rssMax - rssBefore).toBeLessThan(256 * MIB)
    }, 60_000)

    it('close() - is no trouble', async () => {
      const troubles: (string | undefined)[] = []
      const a = await open({ onTrouble: (reason) => troubles.push(reason) })
      await a.close()
      expect(troubles).toEqual([])
      expect(a.trouble()).toBeUndefined()
    })

    it('bridge stalled - does not keep a process from closing', async () => {
      const own = await startBridge()
      const a = await open({ bridge: own.address })
      const b = await open({ bridge: own.address })
      await linkedBoth(a, b)
      process.kill(own.pid, 'SIGSTOP')
      const closingMs = systemClock.monotonicMs()
      await a.close()
      expect(systemClock.monotonicMs() - closingMs).toBeLessThan(3000)
      process.kill(own.pid, 'SIGCONT')
    })

    it('two bridges - that speak to each other directly, and lose each other', async () => {
      const near = await startBridge()
      const relay = await startTcpRelay(Number(near.zenohAddress.split(':').at(-1)))
      closers.push(() => relay.close())
      const far = await startBridge([`tcp/127.0.0.1:${relay.port}`])
      const [a, b] = [await open({ bridge: near.address }), await open({ bridge: far.address })]
      await linkedBoth(a, b)
      const got = await subscribed(b, 't/1', a, 't/1')
      await publishAll(a, 't/1', numbers(5000))
      await received(got, 5000)
      expect(got.texts()).toEqual([...numbers(5000)].map(String))
      a.publish('t/1', Buffer.alloc(16 * MIB), b.peerId)
      await received(got, 5001)
      expect(got.messages.at(-1)!.bytes.length).toBe(16 * MIB)
      relay.cut()
      await eventually(() => a.linked().size + b.linked().size === 0, { what: 'both down' })
      await linkedBoth(a, b)
      await arrives(a, 't/1', got)
    })

    it('two bridges - an inbox that is taken in the other one is refused', async () => {
      const near = await startBridge()
      const far = await startBridge([near.zenohAddress])
      const [a, b] = [await open({ bridge: near.address }), await open({ bridge: far.address })]
      await linkedBoth(a, b)
      const second = makeTransport({ meshName, bridge: far.address, bind: a.endpoint! })
      await expect(second.open()).rejects.toEqual(
        expect.objectContaining({ code: 'MESH_ADDRESS_IN_USE' }),
      )
    })

    describe('garbage', () => {
      let raw: Session

      beforeEach(async () => {
        const zenoh = await loadZenoh()
        const quiet = [vi.spyOn(console, 'warn'), vi.spyOn(console, 'log')]
        for (const spy of quiet) spy.mockImplementation(() => {})
        raw = await zenoh.Session.open(new zenoh.Config(bridge.address, 5000))
        closers.push(() => raw.close())
        for (const spy of quiet) closers.push(() => spy.mockRestore())
      })

      it('put into an inbox - is counted, dropped, and harms nobody', async () => {
        const a = await open()
        const b = await open()
        await linkedBoth(a, b)
        const got = await subscribed(b, 't/1', a, 't/1')
        const inbox = `skein/${encodeURIComponent(meshName).replaceAll('*', '%2A')}/in/${b.peerId}`
        const hello = encodeHello({
          session: 7,
          echo: 0,
          meshId: MESH,
          peerId: 'feedfeedfeedfeed' as PeerId,
          limit: 1000,
          version: 1,
          patterns: ['a//b'],
        })
        const before = b.counters().rejectedMessages
        const rejected: [string, Uint8Array][] = [
          ['', Buffer.from('x')],
          ['/x', Buffer.from('x')],
          ['/x/dial', Buffer.alloc(0)],
          ['/x/dial', Buffer.from(systemRandom.bytes(1000))],
          ['/x/dial', hello],
          ['/x/dial', hello.subarray(0, 30)],
          ['/x/dial', Buffer.alloc(8 * MIB)],
          ['/x/answer', hello],
          ['/x/echo', Buffer.alloc(0)],
          ['/x/dial/deeper', hello],
          ['/x y/dial', hello],
          [`/${a.peerId}/other`, hello],
          [`/${a.peerId}/dial`, Buffer.from('torn')],
        ]
        for (const [place, bytes] of rejected) await raw.put(inbox + place, bytes)
        await raw.delete(`${inbox}/x/dial`)
        await eventually(() => b.counters().rejectedMessages - before === rejected.length + 1, {
          what: 'each to be counted',
        }).catch((error: Error) => {
          throw new Error(`${error.message}: ${b.counters().rejectedMessages - before}`)
        })
        await publishAll(a, 't/1', numbers(10))
        await received(got, 10)
        expect([...b.linked()]).toEqual([a.peerId])
        expect(b.trouble()).toBeUndefined()
      })

      it('a sign of life of nobody - is dialled in vain, and forgotten', async () => {
        const a = await open({ listens: false })
        const token = await raw
          .liveliness()
          .declareToken(
            `skein/${encodeURIComponent(meshName).replaceAll('*', '%2A')}/alive/listens/x/0123456789abcdef`,
          )
        const b = await open()
        await linkedBoth(a, b)
        expect([...a.linked()]).toEqual([b.peerId])
        await token.undeclare()
        const odd = await raw
          .liveliness()
          .declareToken(
            `skein/${encodeURIComponent(meshName).replaceAll('*', '%2A')}/alive/listens/x y/0123456789abcdef`,
          )
        await eventually(() => a.counters().rejectedMessages === 1)
        await odd.undeclare()
      })
    })

    describe('what is not a bridge', () => {
      it('a web server - is said to be none', async () => {
        const server = createHttpServer((_, response) => response.end('hello'))
        const a = await open({ bridge: await startServer(server) })
        expect(a.trouble()).toMatch(/^no Zenoh bridge answers at .*Unexpected server response: 200/)
      })

      it('a server that says nothing - is given up after five seconds', async () => {
        const server = createServer((socket) => socket.on('error', () => {}).resume())
        const a = await open({ bridge: await startServer(server) })
        await eventually(() => a.trouble() !== undefined)
        expect(a.trouble()).toMatch(/^no Zenoh bridge answers at .*no answer within 5000 ms/)
      })

      it('a WebSocket of something else - is said not to be of the version needed', async () => {
        const server = createHttpServer().on('upgrade', (request, socket) => {
          const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
          const accept = createHash('sha1').update(key).digest('base64')
          socket.on('error', () => {}).resume()
          socket.write(
            `HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
          )
        })
        const a = await open({ bridge: await startServer(server) })
        await eventually(() => a.trouble() !== undefined)
        expect(a.trouble()).toMatch(
          /^cannot talk to .*: this process needs zenoh-bridge-remote-api 1\.10, and what answers there is another program or version/,
        )
      })

      it('a bridge of another version - is refused, and both versions are named', async () => {
        const server = createServer((near) => {
          const far = connect(portOf(bridge.address), '127.0.0.1')
          near.on('error', () => far.destroy()).pipe(far)
          far.on('error', () => near.destroy())
          far.on('close', () => near.destroy())
          far.on('data', (chunk: Buffer) => {
            near.write(chunk.toString('latin1').replaceAll('v1.10.', 'v1.11.'), 'latin1')
          })
        })
        const a = await open({ bridge: await startServer(server) })
        expect(a.trouble()).toMatch(/needs zenoh-bridge-remote-api 1\.10, and found v1\.11\.\d+;/)
        expect(a.linked().size).toBe(0)
      })

      it('a bridge that stops answering midway - is given up, at whatever step', async () => {
        const opened = await Promise.all(
          [1, 2, 3, 4, 5, 6, 7, 8].map(async (answers) => {
            const server = createServer((near) => {
              const far = connect(portOf(bridge.address), '127.0.0.1')
              near.on('error', () => far.destroy()).pipe(far)
              far.on('error', () => near.destroy())
              let left = answers
              far.on('data', (chunk: Buffer) => {
                left -= 1
                if (left >= 0) near.write(chunk)
              })
            })
            return open({ bridge: await startServer(server) })
          }),
        )
        await eventually(() => opened.every((transport) => transport.trouble() !== undefined), {
          what: 'each to say so',
          deadlineMs: 20_000,
        })
        await Promise.all(opened.map((transport) => transport.close()))
      })

      it('an address that cannot be one - is MESH_ADDRESS_INVALID', async () => {
        for (const address of ['', 'nonsense', 'http://127.0.0.1:1', 'ws://', 'ws:127.0.0.1:x']) {
          const transport = makeTransport({ meshName, bridge: address })
          await expect(transport.open()).rejects.toEqual(
            expect.objectContaining({ code: 'MESH_ADDRESS_INVALID' }),
          )
        }
      })
    })

    it('the client - prints nothing, neither at the start nor when the bridge goes', async () => {
      const own = await startBridge()
      const program = fileURLToPath(new URL('../conformance/echo-peer.ts', import.meta.url))
      const config = { name: 'zenoh', meshId: MESH, meshName, bridge: own.address, listens: true }
      const child = spawn(process.execPath, [program, JSON.stringify(config)])
      closers.push(() => child.kill('SIGKILL'))
      let said = ''
      child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
      child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
      const a = await open({ bridge: own.address })
      await eventually(() => a.linked().size === 1)
      await own.kill()
      await own.restart()
      await eventually(() => a.linked().size === 1)
      child.stdin.end()
      await once(child, 'exit')
      expect(said).toMatch(/^\{"peerId":"[0-9a-f]{16}","endpoint":"zenoh:\/\/[0-9a-f]{16}"\}\n$/)
    })
  })
})
