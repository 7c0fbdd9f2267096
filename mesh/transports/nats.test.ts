import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { connect, headers } from '@nats-io/transport-node'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { RunningSystem, StartOptions } from '../../systems/index.ts'
import { startSystem } from '../../systems/index.ts'
import { installPathOf } from '../../systems/paths.ts'
import { SYSTEMS } from '../../systems/systems-by-name.ts'
import { systemSuite } from '../../systems/testing.ts'
import { eventually } from '../conformance/eventually.ts'
import type { CreateOptions } from '../conformance/transport-rig.ts'
import {
  Collector,
  MESH,
  numbers,
  received,
  subscribed,
  text,
} from '../conformance/transport-rig.ts'
import { transportSuite } from '../conformance/transport-suite.ts'
import { systemClock, systemRandom } from '../system.ts'
import type { Consumption, Message } from '../transport.ts'
import type { NatsOptions } from './nats.ts'
import { NatsTransport } from './nats.ts'
import { NatsSubjects } from './nats-subjects.ts'

const MIB = 1024 * 1024

let server: RunningSystem
let meshes = 0
const newMeshName = (): string => `mesh ${(meshes += 1)}`

function create(meshName: string, options: Partial<NatsOptions> = {}): NatsTransport {
  return new NatsTransport({
    meshName,
    meshId: MESH,
    clock: systemClock,
    random: systemRandom,
    servers: [server.address],
    maxBytes: 64 * MIB,
    ...options,
  })
}

/** Telemetry as a store takes it: every message, by shard, with each number once. */
class Taken {
  readonly byTopic = new Map<string, Set<number>>()
  messages = 0

  readonly onBatch = (batch: readonly Message[]): void => {
    for (const { topic, bytes } of batch) {
      this.messages += 1
      const seen = this.byTopic.get(topic) ?? new Set()
      this.byTopic.set(topic, seen.add(Number(bytes.toString())))
    }
  }

  of(topic: string): Set<number> {
    return this.byTopic.get(topic) ?? new Set()
  }
}

const range = (count: number, first = 0): number[] =>
  Array.from({ length: count }, (_, index) => first + index)

const missing = (wanted: Iterable<number>, seen: ReadonlySet<number>): number[] =>
  [...wanted].filter((number) => !seen.has(number))

/** Publishes as a publisher with an outbox does: again, whatever a disconnection left in doubt. */
class Outbox {
  readonly states: boolean[] = []
  private readonly transport: NatsTransport

  constructor(transport: NatsTransport) {
    this.transport = transport
    transport.onConnection((isConnected) => this.states.push(isConnected))
  }

  async publish(topic: string, values: readonly number[]): Promise<void> {
    for (;;) {
      await eventually(() => this.transport.isConnected, { what: 'a connection', everyMs: 5 })
      const before = this.states.length
      for (const value of values) this.transport.publish(topic, text(value))
      await this.transport.flush()
      if (this.states.length === before) return
    }
  }
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  listener.close()
  await once(listener, 'close')
  return port
}

systemSuite('nats', () => {
  beforeAll(async () => {
    server = await startSystem('nats')
  })
  afterAll(() => server.stop())

  transportSuite('nats', {
    capabilities: {
      brokered: true,
      ordered: true,
      replays: true,
      messageBytesMax: 8 * MIB - 1024,
    },
    setup() {
      const meshName = newMeshName()
      return {
        create({ meshId, peerId, linkQueueBytes }: CreateOptions) {
          return Promise.resolve(
            create(meshName, {
              ...(meshId && { meshId }),
              ...(peerId && { peerId }),
              ...(linkQueueBytes && { queueBytes: linkQueueBytes }),
            }),
          )
        },
      }
    },
  })
  describe('nats: its own', () => {
    const closers: (() => unknown)[] = []
    afterEach(async () => {
      for (const close of closers.splice(0).reverse()) await close()
    })

    async function start(options: StartOptions = {}): Promise<RunningSystem> {
      const own = await startSystem('nats', options)
      closers.push(() => own.stop())
      return own
    }

    async function open(
      meshName: string,
      options: Partial<NatsOptions> = {},
    ): Promise<NatsTransport> {
      const transport = create(meshName, options)
      closers.push(() => transport.close())
      await transport.open()
      return transport
    }

    /** The server as its operator sees it. */
    async function operator(
      at: RunningSystem,
    ): Promise<{ nc: NatsConnection; manager: JetStreamManager }> {
      const nc = await connect({ servers: at.address })
      closers.push(() => nc.close())
      return { nc, manager: await jetstreamManager(nc) }
    }

    async function consume(
      transport: NatsTransport,
      shards: readonly number[],
      taken: Taken,
      name = 'store',
    ): Promise<Consumption> {
      const consumption = await transport.consume(name, taken.onBatch)
      consumption.assign(new Set(shards))
      return consumption
    }

    const has = (taken: Taken, topic: string, wanted: readonly number[]): Promise<true> =>
      eventually(() => missing(wanted, taken.of(topic)).length === 0, {
        what: `${wanted.length} messages of ${topic}`,
        deadlineMs: 20_000,
      })

    async function consumersOf(manager: JetStreamManager, meshName: string): Promise<string[]> {
      const names: string[] = []
      const { stream } = new NatsSubjects(meshName)
      for await (const info of manager.consumers.list(stream)) names.push(info.name)
      return names
    }

    it('a server killed mid-stream - what was confirmed is there, the consumer goes on', async () => {
      const own = await start()
      const mesh = newMeshName()
      const options = { servers: [own.address] }
      const [a, b] = [await open(mesh, options), await open(mesh, options)]
      const taken = new Taken()
      await consume(b, [1, 2], taken)
      const outbox = new Outbox(a)
      let sent = 0
      const isDone = new AbortController()
      const load = (async () => {
        for (; !isDone.signal.aborted; sent += 20) await outbox.publish('t/1/x', range(20, sent))
      })()
      await eventually(() => taken.messages > 2000, { what: 'the stream to flow' })
      await own.kill()
      await eventually(() => a.trouble() !== undefined && b.trouble() !== undefined)
      await eventually(() => a.trouble()?.includes('does not answer (connection refused)') === true)
      const dropped = a.counters().droppedMessages
      expect(a.publish('t/1/x', text('dropped'))).toBe(false)
      expect(a.counters().droppedMessages).toBe(dropped + 1)
      await a.flush()
      await own.restart()
      const before = taken.of('t/1/x').size
      await eventually(() => taken.of('t/1/x').size > before + 2000, { what: 'it to flow again' })
      isDone.abort()
      await load
      await has(taken, 't/1/x', range(sent))
      expect(outbox.states).toEqual([false, true])
      expect(a.trouble()).toBeUndefined()
      // It went on, and did not begin again.
      expect(taken.messages).toBeLessThan(sent * 2)
    }, 40_000)

    it('a server that is away at the start - open() resolves, and it works once it is there', async () => {
      const port = await freePort()
      const mesh = newMeshName()
      const told: (string | undefined)[] = []
      const options = {
        servers: [`nats://127.0.0.1:${port}`],
        onTrouble: (reason: string | undefined) => told.push(reason),
      }
      // What keeps the process alive between two attempts.
      const anchors = (): number =>
        process.getActiveResourcesInfo().filter((kind) => kind === 'MessagePort').length
      const before = anchors()
      const a = await open(mesh, options)
      expect(anchors()).toBe(before + 1)
      expect(a.isConnected).toBe(false)
      expect(a.trouble()).toBe(
        `nats://127.0.0.1:${port} does not answer (connection refused); trying again`,
      )
      const taken = new Taken()
      const live = new Collector()
      await consume(a, [1], taken)
      await a.subscribe('t/>', live.onBatch)
      expect(a.publish('t/1/x', text('0'))).toBe(false)
      expect(() => a.publish('t/1/x', Buffer.alloc(MIB))).toThrow(
        expect.objectContaining({ code: 'MESH_MESSAGE_TOO_LARGE' }),
      )
      await start({ port })
      await eventually(() => a.isConnected, { what: 'the server to be found' })
      expect(told).toEqual([expect.stringContaining('does not answer'), undefined])
      a.publish('t/1/x', text('1'))
      await has(taken, 't/1/x', [1])
      await received(live, 1)
      await a.close()
      await eventually(() => anchors() === before, { what: 'nothing to be left' })
    })

    it('wrong credentials - are trouble, not an error', async () => {
      const own = await start({ nats: { user: 'skein', password: 'right' } })
      const servers = [own.address]
      const mesh = newMeshName()
      for (const wrong of [{}, { user: 'skein', password: 'wrong' }, { token: 'x' }]) {
        const a = await open(mesh, { servers, ...wrong })
        expect(a.trouble()).toBe(`${own.address} refuses these credentials; trying again`)
        expect(a.isConnected).toBe(false)
      }
      const b = await open(mesh, { servers, user: 'skein', password: 'right' })
      expect(b.trouble()).toBeUndefined()
      const withToken = await start({ nats: { token: 'secret' } })
      const c = await open(mesh, { servers: [withToken.address], token: 'secret' })
      expect(c.isConnected).toBe(true)
    })

    it('a stream with foreign settings - is left alone; trouble says what to change', async () => {
      const { manager } = await operator(server)
      const cases: [Partial<StreamConfig>, RegExp][] = [
        [{ storage: 'memory' }, /storage is memory, must be file/],
        [{ retention: 'interest' }, /retention is interest, must be limits/],
        [{ max_msg_size: 1000 }, /max_msg_size is 1000, must be 8387584 at least, or -1/],
        [{ no_ack: true }, /no_ack is true/],
        [{ max_msgs_per_subject: 5 }, /max_msgs_per_subject is 5, must be -1/],
        [{ discard: 'new' }, /discard is new, must be old/],
      ]
      for (const [settings, words] of cases) {
        const mesh = newMeshName()
        const { stream: name, kept } = new NatsSubjects(mesh)
        await manager.streams.add({ name, subjects: [...kept], ...settings })
        const a = await open(mesh)
        expect(a.trouble()).toMatch(words)
        expect(a.trouble()).toContain(`stream ${name} has foreign settings`)
        expect(a.isConnected).toBe(false)
        expect(a.publish('t/1/x', text('x'))).toBe(false)
        await a.close()
      }
    })

    it('a stream with other subjects, or another stream with ours - until it is gone', async () => {
      const { manager } = await operator(server)
      const mesh = newMeshName()
      const { stream, kept, prefix } = new NatsSubjects(mesh)
      await manager.streams.add({ name: stream, subjects: [kept[0]!] })
      const a = await open(mesh)
      expect(a.trouble()).toContain(`its subjects must include ${kept[1]} and ${kept[2]}`)
      // What no stream is needed for works all the same.
      const members = await subscribed(a, 'm/peers', a, 'm/peers')
      a.publish('m/peers', text('x'))
      await received(members, 1)
      await manager.streams.delete(stream)
      await eventually(() => a.isConnected, { what: 'the stream to be made' })
      const { config } = await manager.streams.info(stream)
      expect(config).toMatchObject({ subjects: kept, storage: 'file', max_bytes: 64 * MIB })

      const other = newMeshName()
      const theirs = new NatsSubjects(other)
      await manager.streams.add({ name: `theirs-${meshes}`, subjects: [`${theirs.prefix}.t.1.>`] })
      const b = await open(other)
      expect(b.trouble()).toMatch(/cannot be made \(.*overlap.*\): another stream already takes/)
      await manager.streams.delete(`theirs-${meshes}`)
      await eventually(() => b.isConnected, { what: 'the second stream to be made' })
      expect(prefix).not.toBe(theirs.prefix)
    })

    it('a stream with more subjects and other limits - is good enough', async () => {
      const { manager } = await operator(server)
      const mesh = newMeshName()
      const { stream, prefix } = new NatsSubjects(mesh)
      await manager.streams.add({ name: stream, subjects: [`${prefix}.>`], max_bytes: 8 * MIB })
      const a = await open(mesh)
      expect(a.trouble()).toBeUndefined()
    })

    it('the stream deleted - is made again, and consumers with it', async () => {
      const { manager } = await operator(server)
      const mesh = newMeshName()
      const [a, b] = [await open(mesh), await open(mesh)]
      const taken = new Taken()
      await consume(b, [1], taken)
      const outbox = new Outbox(a)
      await outbox.publish('t/1/x', range(100))
      await has(taken, 't/1/x', range(100))
      await manager.streams.delete(new NatsSubjects(mesh).stream)
      await outbox.publish('t/1/x', range(100, 100))
      await has(taken, 't/1/x', range(200))
      expect(outbox.states).toEqual([false, true])
    })

    it('the consumer deleted - is made again where it was', async () => {
      const { manager } = await operator(server)
      const mesh = newMeshName()
      const [a, b] = [await open(mesh), await open(mesh)]
      const taken = new Taken()
      await consume(b, [1], taken)
      const outbox = new Outbox(a)
      const { stream } = new NatsSubjects(mesh)
      for (let round = 0; round < 3; round += 1) {
        await outbox.publish('t/1/x', range(500, round * 500))
        const [consumer] = await eventually(async () => {
          const names = await consumersOf(manager, mesh)
          return names.length === 1 && names
        })
        await manager.consumers.delete(stream, consumer!)
      }
      await has(taken, 't/1/x', range(1500))
      expect(outbox.states).toEqual([])
      expect(taken.messages).toBeLessThan(3000)
    })

    it('a consumer of that name that was here before - goes on from there', async () => {
      const { manager } = await operator(server)
      const mesh = newMeshName()
      const a = await open(mesh)
      const outbox = new Outbox(a)
      const first = new Taken()
      const b = await open(mesh)
      await consume(b, [1, 2], first)
      await outbox.publish('t/1/x', range(100))
      await has(first, 't/1/x', range(100))
      await b.close()
      await outbox.publish('t/1/x', range(100, 100))
      await outbox.publish('b/2', range(100))
      const second = new Taken()
      const c = await open(mesh)
      const consumption = await consume(c, [1, 2, 3], second)
      await has(second, 't/1/x', range(100, 100))
      await has(second, 'b/2', range(100))
      // The last acknowledgement of the first life may have been lost, not more.
      expect(second.messages).toBeLessThan(300)
      await eventually(() => consumption.lag() === 0, { what: 'nothing to be left' })
      // The predecessor is gone: one for the shards that stayed, one for the new one.
      await eventually(async () => (await consumersOf(manager, mesh)).length === 2)
    })

    it('a shard given away and back after a restart - begins before now, not where others are', async () => {
      const mesh = newMeshName()
      const [a, b] = [await open(mesh), await open(mesh)]
      const first = new Taken()
      const consumption = await consume(b, [1, 2], first)
      const outbox = new Outbox(a)
      await outbox.publish('t/1/x', range(10))
      await outbox.publish('t/2/x', range(10))
      await has(first, 't/2/x', range(10))
      consumption.assign(new Set([1, 3]))
      await outbox.publish('t/3/x', range(10))
      await has(first, 't/3/x', range(10))
      await outbox.publish('t/2/x', range(10, 10))
      await outbox.publish('t/1/x', range(10, 10))
      await has(first, 't/1/x', range(20))
      expect(first.of('t/2/x').size).toBe(10)
      await b.close()
      const second = new Taken()
      await consume(await open(mesh), [1, 2], second)
      await has(second, 't/2/x', range(20))
      expect(second.of('t/1/x').size).toBeLessThanOrEqual(10)
    })

    it('a message that was taken and not finished - comes again first, in order', async () => {
      const mesh = newMeshName()
      const a = await open(mesh)
      const b = await open(mesh)
      const unfinished: string[] = []
      const stuck = await b.consume('store', (batch) => {
        unfinished.push(...batch.map(({ bytes }) => bytes.toString()))
        return new Promise(() => {})
      })
      stuck.assign(new Set([1]))
      for (const bytes of numbers(100)) a.publish('t/1/x', bytes)
      await eventually(() => unfinished.length > 0)
      await b.close()
      for (const bytes of numbers(200)) a.publish('t/1/x', bytes)
      const got: string[] = []
      const c = await open(mesh)
      const consumption = await c.consume('store', (batch) => {
        got.push(...batch.map(({ bytes }) => bytes.toString()))
      })
      consumption.assign(new Set([1]))
      await eventually(() => got.length >= 300, { what: 'all of them' })
      expect(got).toEqual([...numbers(100), ...numbers(200)].map(String))
    })

    it('assign() changed under load - no message of a shard that stays is missed', async () => {
      const { manager } = await operator(server)
      const mesh = newMeshName()
      const [a, b] = [await open(mesh), await open(mesh)]
      const taken = new Taken()
      const consumption = await consume(b, [0, 1, 2], taken)
      let sent = 0
      const isDone = new AbortController()
      const load = (async () => {
        for (; !isDone.signal.aborted; sent += 1) {
          for (const shard of range(10)) a.publish(`t/${shard}/x`, text(sent))
          if (!a.publish('b/2', text(sent)) || sent % 10 === 0) await a.flush()
        }
      })()
      const sets = [[1, 2], [2, 3], [2], [2, 4, 5], [2, 5, 6], [2, 6, 7], [2, 7, 8], [0, 2, 9]]
      for (const shards of sets) {
        const newest = shards.at(-1)!
        const before = sent
        consumption.assign(new Set(shards))
        // New ones come from before they were assigned, as far as the stream goes back.
        await eventually(() => (taken.of(`t/${newest}/x`).size ?? 0) > before + 20, {
          what: `shard ${newest} to flow`,
          deadlineMs: 20_000,
        })
      }
      isDone.abort()
      await load
      await a.flush()
      for (const topic of ['t/2/x', 'b/2', 't/0/x', 't/9/x']) await has(taken, topic, range(sent))
      expect((await consumersOf(manager, mesh)).length).toBeLessThanOrEqual(6)
      // Given away, and quiet.
      const had = taken.of('t/8/x').size
      a.publish('t/8/x', text(-1))
      a.publish('t/2/x', text(-1))
      await has(taken, 't/2/x', [-1])
      expect(taken.of('t/8/x').size).toBe(had)
    }, 60_000)

    it('a handler that rejects - gets the same batch again, and nothing before it', async () => {
      const mesh = newMeshName()
      const [a, b] = [await open(mesh), await open(mesh)]
      const calls: string[][] = []
      const consumption = await b.consume('store', (batch) => {
        calls.push(batch.map(({ bytes }) => bytes.toString()))
        if (calls.length <= 3) throw new Error('not now, on purpose')
      })
      consumption.assign(new Set([1]))
      for (const bytes of numbers(50)) a.publish('t/1/x', bytes)
      await eventually(() => calls.length > 3 && calls.slice(3).flat().length >= 50)
      expect(calls[1]).toEqual(calls[0])
      expect(calls[2]).toEqual(calls[0])
      expect(calls.slice(3).flat()).toEqual([...numbers(50)].map(String))
    })

    it('a slow consumer - is given no more than its prefetch, and then the rest', async () => {
      const mesh = newMeshName()
      const [a, b] = [await open(mesh), await open(mesh)]
      const gate = Promise.withResolvers<void>()
      const taken = new Taken()
      const consumption = await b.consume('store', async (batch) => {
        taken.onBatch(batch)
        await gate.promise
      })
      consumption.assign(new Set([1]))
      const bytes = Buffer.alloc(100_000, ' ')
      for (let index = 0; index < 400; index += 1) {
        bytes.write(String(index).padStart(8, '0'))
        if (!a.publish('t/1/x', Buffer.from(bytes))) await a.flush()
      }
      await a.flush()
      await eventually(() => consumption.lag() > 0 && b.counters().receivedMessages > 50)
      gate.resolve()
      await has(taken, 't/1/x', range(400))
      expect(b.counters().droppedMessages).toBe(0)
      await eventually(() => consumption.lag() === 0)
    })

    it('a slow live handler - loses its oldest, bounded and counted, and others none', async () => {
      const mesh = newMeshName()
      const a = await open(mesh)
      const b = await open(mesh, { queueBytes: MIB })
      const gate = Promise.withResolvers<void>()
      const slow = new Collector()
      await b.subscribe('t/1/x', async (batch) => {
        slow.onBatch(batch)
        await gate.promise
      })
      const quick = await subscribed(b, 't/1/x', a, 't/1/x')
      const total = 1000
      const bytes = Buffer.alloc(16 * 1024)
      for (let index = 0; index < total; index += 1) {
        bytes.writeUInt32LE(index)
        if (!a.publish('t/1/x', Buffer.from(bytes))) await a.flush()
      }
      await received(quick, total)
      const { droppedMessages } = b.counters()
      expect(droppedMessages).toBeGreaterThan(total - 100)
      gate.resolve()
      const last = (): number | undefined => slow.messages.at(-1)?.bytes.readUInt32LE()
      await eventually(() => last() === total - 1, { what: 'the newest message' })
      expect(slow.messages.length + slow.probes).toBeLessThan(100)
    })

    it('garbage on our subjects - passes as bytes, or is counted when no topic is named so', async () => {
      const { nc } = await operator(server)
      const mesh = newMeshName()
      const a = await open(mesh)
      const { prefix } = new NatsSubjects(mesh)
      const got = new Collector()
      const taken = new Taken()
      await a.subscribe('>', got.onBatch)
      await consume(a, [1], taken)
      const withHeaders = headers(409, 'Consumer Deleted')
      nc.publish(`${prefix}.t.1.x`, systemRandom.bytes(100), { headers: withHeaders })
      nc.publish(`${prefix}.t.1.x`, '', { reply: 'nowhere' })
      for (const token of ['%zz', '%2F', 'a%2Fb', '%41', '%20', '%']) {
        nc.publish(`${prefix}.t.1.${token}`, 'x')
      }
      nc.publish(`${prefix}.t.1.x`, 'last')
      await eventually(() => got.texts().includes('last'))
      expect(got.messages.map(({ topic }) => topic)).toEqual(['t/1/x', 't/1/x', 't/1/x'])
      expect(got.messages[0]!.bytes.length).toBe(100)
      await eventually(() => taken.messages === 3, { what: 'the consumer to have them too' })
      // Six subjects, seen by the subscription and by the consumer.
      expect(a.counters().rejectedMessages).toBe(12)
    })

    it('meshes of other names - do not meet', async () => {
      const names = ['m', 'm.t', 'm.>', 'm.*', '*', 'm%2Et', 'M', 'Straße 東京']
      const all = await Promise.all(names.map((name) => open(name)))
      const got = await Promise.all(
        all.map((transport) => subscribed(transport, '>', transport, 't/1/x')),
      )
      for (const [index, transport] of all.entries()) transport.publish('t/1/x', text(names[index]))
      for (const collector of got) await received(collector, 1)
      for (const transport of all) transport.publish('m/peers', text('end'))
      for (const collector of got) await received(collector, 2)
      expect(got.map((collector) => collector.texts())).toEqual(names.map((name) => [name, 'end']))
    })

    it('topics - survive whatever a level may hold, and stay distinct', async () => {
      const mesh = newMeshName()
      const [a, b] = [await open(mesh), await open(mesh)]
      const got = await subscribed(b, '>', a, 't/1/x')
      const topics = ['t/1/a.b', 't/1/a%2Eb', 't/1/a%b', 't/1/$JS', 't/1/\u0000', 'a/ü', 'x']
      for (const topic of topics) a.publish(topic, text(topic))
      await received(got, topics.length)
      // What the stream keeps and what passes by it keep their order each, not with each other.
      expect(got.messages.map(({ topic }) => topic).sort()).toEqual([...topics].sort())
      expect(got.messages.every(({ topic, bytes }) => topic === bytes.toString())).toBe(true)
    })

    it('a late joiner - gets the last of each schema topic, before what comes then', async () => {
      const mesh = newMeshName()
      const [a, b] = [await open(mesh), await open(mesh)]
      for (const index of range(300)) a.publish(`s/${index}`, text(`old ${index}`))
      for (const index of range(300)) a.publish(`s/${index}`, text(`new ${index}`))
      a.publish('s/ask', text('a question of long ago'))
      a.publish('t/1/x', text('not a schema'))
      await a.flush()
      const got = new Collector()
      const publishing = (async () => {
        for (const index of range(50)) {
          a.publish(`s/live-${index}`, text('live'))
          await a.flush()
        }
      })()
      await b.subscribe('s/>', got.onBatch)
      await publishing
      await received(got, 350)
      const texts = got.texts().filter((value) => value !== 'live')
      expect(texts).toEqual(range(300).map((index) => `new ${index}`))
      const one = new Collector()
      await b.subscribe('s/7', one.onBatch)
      await received(one, 1)
      expect(one.texts()).toEqual(['new 7'])
    })

    it('a server that hangs - is noticed, and used again when it wakes', async () => {
      const own = await start()
      const mesh = newMeshName()
      const servers = [own.address]
      const [a, b] = [await open(mesh, { servers }), await open(mesh, { servers })]
      const taken = new Taken()
      await consume(b, [1], taken)
      const outbox = new Outbox(a)
      await outbox.publish('t/1/x', range(10))
      await has(taken, 't/1/x', range(10))
      process.kill(own.pid, 'SIGSTOP')
      try {
        const bytes = Buffer.alloc(100_000, '7')
        for (let count = 0; count < 100; count += 1) a.publish('t/1/x', bytes)
        await eventually(() => !a.isConnected && !b.isConnected, {
          what: 'both to notice',
          deadlineMs: 20_000,
        })
        expect(a.queuedBytes()).toBe(0)
      } finally {
        process.kill(own.pid, 'SIGCONT')
      }
      await outbox.publish('t/1/x', range(10, 10))
      await has(taken, 't/1/x', range(20))
    }, 60_000)

    /** A server with a configuration of the test's own. */
    async function startPlain(config: Record<string, unknown>): Promise<string> {
      const port = await freePort()
      const folder = await mkdtemp(join(tmpdir(), 'skein-nats-test-'))
      const path = join(folder, 'server.conf')
      const all = { host: '127.0.0.1', port, ...config }
      await writeFile(path, JSON.stringify(all).replace('STORE', folder))
      const program = join(installPathOf(SYSTEMS.nats), 'bin', 'nats-server')
      const child = spawn(program, ['--config', path], { stdio: 'ignore' })
      closers.push(async () => {
        child.kill('SIGKILL')
        await once(child, 'exit')
        await rm(folder, { recursive: true, force: true })
      })
      return `nats://127.0.0.1:${port}`
    }

    it('a server without JetStream - trouble says how to switch it on', async () => {
      const address = await startPlain({})
      const a = await open(newMeshName(), { servers: [address] })
      await eventually(() => a.trouble()?.includes('JetStream switched off') === true)
      expect(a.trouble()).toContain(
        `${address} has JetStream switched off: start it with --jetstream`,
      )
      const live = await subscribed(a, 'm/peers', a, 'm/peers')
      a.publish('m/peers', text('x'))
      await received(live, 1)
    })

    it('no permission to publish - is trouble, and nothing counts as sent for good', async () => {
      const user = { user: 'u', password: 'p', permissions: { publish: { deny: ['*.*.t.>'] } } }
      const address = await startPlain({
        jetstream: { store_dir: 'STORE' },
        authorization: { users: [user] },
      })
      const told: (string | undefined)[] = []
      const a = await open(newMeshName(), {
        servers: [address],
        user: 'u',
        password: 'p',
        onTrouble: (reason) => told.push(reason),
      })
      const { states } = new Outbox(a)
      await eventually(() => a.isConnected)
      a.publish('t/1/x', text('x'))
      await eventually(() => states.includes(false), { what: 'the refusal' })
      expect(told.some((reason) => reason?.includes('Permissions Violation for Publish'))).toBe(
        true,
      )
      expect(a.counters().droppedMessages).toBeGreaterThan(0)
      await eventually(() => a.isConnected)
    })

    it('a malformed server address - is refused with MESH_ADDRESS_INVALID', async () => {
      const bad = [
        '',
        'http://127.0.0.1:4222',
        'nats://',
        '127.0.0.1:99999',
        'nats://u:p@h:1',
        'a b',
      ]
      for (const address of bad) {
        const transport = create('m', { servers: [address] })
        await expect(transport.open()).rejects.toMatchObject({ code: 'MESH_ADDRESS_INVALID' })
      }
      await expect(create('m', { servers: [] }).open()).rejects.toMatchObject({
        code: 'MESH_ADDRESS_INVALID',
      })
      expect(() => create('東'.repeat(70))).toThrow(RangeError)
    })

    it('close() - ends within its second when the server is away, and while it connects', async () => {
      const port = await freePort()
      const a = create(newMeshName(), { servers: [`nats://127.0.0.1:${port}`] })
      void a.open().catch(() => {})
      await a.close()
      const own = await start()
      const b = create(newMeshName(), { servers: [own.address] })
      const opening = b.open()
      await b.close()
      await opening
      const c = await open(newMeshName(), { servers: [own.address] })
      process.kill(own.pid, 'SIGSTOP')
      const startedMs = systemClock.monotonicMs()
      c.publish('t/1/x', text('x'))
      await c.close()
      process.kill(own.pid, 'SIGCONT')
      expect(systemClock.monotonicMs() - startedMs).toBeLessThan(1500)
    })
  })
})
