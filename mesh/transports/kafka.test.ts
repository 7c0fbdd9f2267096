import * as client from '@platformatic/kafka'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startSystem, type RunningSystem } from '../../systems/index.ts'
import { systemSuite } from '../../systems/testing.ts'
import { eventually } from '../conformance/eventually.ts'
import type { CreateOptions } from '../conformance/transport-rig.ts'
import {
  Collector,
  MESH,
  arrives,
  numbers,
  publishAll,
  received,
  subscribed,
  text,
} from '../conformance/transport-rig.ts'
import { transportSuite } from '../conformance/transport-suite.ts'
import { systemClock, systemRandom } from '../system.ts'
import type { BatchHandler, Message } from '../transport.ts'
import type { KafkaOptions } from './kafka.ts'
import { KafkaTransport } from './kafka.ts'

const MIB = 1024 * 1024

function make(address: string, options: Partial<KafkaOptions>): KafkaTransport {
  return new KafkaTransport({
    meshName: 'own',
    meshId: MESH,
    clock: systemClock,
    random: systemRandom,
    brokers: [address],
    ...options,
  })
}

/** The texts that a consumption was given, by the order they came in; repeats included. */
class Consumer {
  readonly texts: string[] = []
  /** What happens before a batch is taken. */
  before: (batch: readonly Message[]) => void | Promise<void> = () => {}

  readonly onBatch: BatchHandler = async (batch) => {
    await this.before(batch)
    for (const { bytes } of batch) this.texts.push(bytes.toString())
  }

  async has(wanted: Iterable<Buffer>): Promise<void> {
    const missing = new Set([...wanted].map(String))
    let seen = 0
    const hasAll = (): boolean => {
      for (; seen < this.texts.length; seen += 1) missing.delete(this.texts[seen]!)
      return missing.size === 0
    }
    await eventually(hasAll, { deadlineMs: 20_000 }).catch(() => {
      throw new Error(
        `not consumed: ${missing.size}, such as ${[...missing].slice(0, 3).join(', ')}`,
      )
    })
  }

  /**
   * Publishes as a publisher does: what is not confirmed is sent again. A broker or a topic that is
   * new says once or twice that it does not lead a partition yet.
   */
  async getsFrom(
    transport: KafkaTransport,
    topic: string,
    wanted: Iterable<Buffer>,
  ): Promise<void> {
    for (const bytes of wanted) {
      await eventually(
        () => {
          if (this.texts.includes(bytes.toString())) return true
          transport.publish(topic, bytes)
          return false
        },
        { what: `${bytes.toString()} to be consumed`, everyMs: 20, deadlineMs: 20_000 },
      )
    }
  }
}

const shards = (...numbersOf: number[]): Set<number> => new Set(numbersOf)

systemSuite('kafka', () => {
  let kafka: RunningSystem
  const closers: (() => unknown)[] = []

  beforeAll(async () => {
    kafka = await startSystem('kafka')
  }, 90_000)

  afterEach(async () => {
    for (const close of closers.splice(0)) await close()
  })

  afterAll(async () => {
    await kafka?.stop()
  })

  transportSuite('kafka', {
    capabilities: {
      brokered: true,
      ordered: true,
      replays: true,
      messageBytesMax: 8 * MIB,
    },
    setup: () => ({
      create: ({ meshId, peerId, linkQueueBytes: queueBytes }: CreateOptions) =>
        Promise.resolve(
          make(kafka.address, {
            meshName: 'suite',
            ...(meshId !== undefined && { meshId }),
            ...(peerId !== undefined && { peerId }),
            ...(queueBytes !== undefined && { queueBytes }),
          }),
        ),
    }),
  })

  async function open(options: Partial<KafkaOptions> = {}): Promise<KafkaTransport> {
    const transport = make(kafka.address, options)
    closers.push(() => transport.close())
    await transport.open()
    return transport
  }

  function admin(): client.Admin {
    const one = new client.Admin({ clientId: 'test', bootstrapBrokers: [kafka.address] })
    closers.push(() => one.close())
    return one
  }

  const connected = (transport: KafkaTransport): Promise<unknown> =>
    eventually(() => transport.isConnected, { what: 'a connection', deadlineMs: 30_000 })

  describe('kafka: a broker that goes away', () => {
    it('killed mid-stream, away at start - nothing confirmed is lost, all find back', async () => {
      const [a, b] = [await open(), await open()]
      const changes: boolean[] = []
      a.onConnection((isConnected) => changes.push(isConnected))
      const live = await subscribed(b, 't/40/x', a, 't/40/x')
      const consumer = new Consumer()
      const consumption = await b.consume('storekilled', consumer.onBatch)
      consumption.assign(shards(40))
      await publishAll(a, 't/40/x', numbers(2000, 'early'))
      await a.flush()
      const confirmed = [...numbers(2000, 'early')]
      for (const bytes of numbers(5000, 'lost?')) a.publish('t/40/x', bytes)
      await kafka.kill()
      await eventually(() => !a.isConnected, { what: 'the loss to be noticed' })
      expect(a.trouble()).toMatch(/127\.0\.0\.1:\d+/)
      // What was on its way counts as lost, and so does what comes now.
      await a.flush()
      const { droppedMessages } = a.counters()
      expect(a.publish('t/40/x', text('refused'))).toBe(false)
      expect(a.counters().droppedMessages).toBe(droppedMessages + 1)
      expect(a.queuedBytes()).toBe(0)

      const late = await open()
      expect(late.isConnected).toBe(false)
      await eventually(() =>
        late.trouble()?.endsWith('does not answer (connection refused); trying again'),
      )
      const atLate = new Collector()
      await late.subscribe('t/40/x', atLate.onBatch)

      await kafka.restart()
      await connected(a)
      await connected(late)
      expect(changes.slice(0, 2)).toEqual([false, true])
      await arrives(a, 't/40/x', live)
      await arrives(a, 't/40/x', atLate)
      await consumer.getsFrom(a, 't/40/x', numbers(20, 'afterwards'))
      await consumer.has(confirmed)
      for (const one of [a, b, late]) await eventually(() => one.trouble() === undefined)
    }, 60_000)

    it('closing while it is away - ends within the second it may flush', async () => {
      const a = make('127.0.0.1:1', {})
      await a.open()
      expect(a.trouble()).toBe(
        'Kafka at 127.0.0.1:1 does not answer (connection refused); trying again',
      )
      await a.subscribe('t/>', () => {})
      const consumption = await a.consume('storeaway', () => {})
      consumption.assign(shards(1, 2, 3))
      const startedMs = systemClock.monotonicMs()
      await a.close()
      expect(systemClock.monotonicMs() - startedMs).toBeLessThan(2500)
    })

    it('an address that cannot be one - is refused at once', async () => {
      for (const address of [
        '',
        'localhost',
        'localhost:http',
        'kafka://localhost:9092',
        'a:99999',
      ]) {
        const a = make(address, {})
        closers.push(() => a.close())
        await expect(a.open()).rejects.toMatchObject({ code: 'MESH_ADDRESS_INVALID' })
      }
      expect(() => make('127.0.0.1:1', { meshName: 'x'.repeat(300) })).toThrow(RangeError)
    })
  })

  describe('kafka: publish and subscribe', () => {
    it('two meshes - do not see each other', async () => {
      const [a, b] = [await open(), await open({ meshName: 'own.2' })]
      const [atA, atB] = [new Collector(), new Collector()]
      await a.subscribe('>', atA.onBatch)
      await b.subscribe('>', atB.onBatch)
      a.publish('t/1/x', text('a'))
      b.publish('t/1/x', text('b'))
      await received(atA, 1)
      await received(atB, 1)
      expect([atA.texts(), atB.texts()]).toEqual([['a'], ['b']])
    })

    it('schemas - reach whoever comes later, each subscription once, in order', async () => {
      const a = await open({ meshName: 'schemas', retentionMs: 7_200_000 })
      for (const bytes of numbers(50)) a.publish(`s/${bytes.toString()}`, bytes)
      await a.flush()
      const b = await open({ meshName: 'schemas' })
      const [first, second, other] = [new Collector(), new Collector(), new Collector()]
      await b.subscribe('s/>', first.onBatch)
      await received(first, 50)
      await b.subscribe('s/*', second.onBatch)
      await b.subscribe('t/>', other.onBatch)
      a.publish('s/new', text('new'))
      await received(first, 51)
      await received(second, 51)
      expect(first.texts()).toEqual([...[...numbers(50)].map(String), 'new'])
      expect(second.texts()).toEqual(first.texts())
      expect(other.batches).toBe(0)
    })

    it('a slow live handler - is bounded, and loses its oldest', async () => {
      const [a, b] = [await open(), await open({ queueBytes: MIB })]
      const gate = Promise.withResolvers<void>()
      const slow = new Collector()
      await b.subscribe('t/2/x', async (batch) => {
        slow.onBatch(batch)
        await gate.promise
      })
      const quick = await subscribed(b, 't/2/x', a, 't/2/x')
      await eventually(() => slow.batches === 1)
      const bytes = Array.from({ length: 400 }, (_, index) => Buffer.alloc(16_000, index & 255))
      await publishAll(a, 't/2/x', bytes)
      await received(quick, 400)
      expect(b.counters().droppedMessages).toBeGreaterThan(300)
      gate.resolve()
      await eventually(() => slow.messages.at(-1)?.bytes[0] === (399 & 255))
      expect(slow.messages.length).toBeLessThan(100)
    })

    it('what is none of ours - is counted and passed over', async () => {
      const [a, b] = [await open(), await open()]
      const got = await subscribed(b, 't/3/x', a, 't/3/x')
      const producer = new client.Producer({ clientId: 'test', bootstrapBrokers: [kafka.address] })
      closers.push(() => producer.close())
      const record = { topic: 'skein.own.telemetry', partition: 3, value: Buffer.from('x') }
      const send = (key: string | undefined, compression: 'none' | 'gzip'): Promise<unknown> =>
        producer.send({
          messages: [key === undefined ? record : { ...record, key: Buffer.from(key) }],
          compression,
        })
      await send(undefined, 'none')
      await send('not a topic', 'none')
      await send('t/3/x', 'gzip')
      a.publish('t/3/x', text('after'))
      await received(got, 1)
      expect(got.texts()).toEqual(['after'])
      expect(b.counters().rejectedMessages).toBe(3)
      expect(b.trouble()).toBeUndefined()
    })

    it('idle - nothing is queued, and one message waits for nobody', async () => {
      const [a, b] = [await open(), await open()]
      const got = await subscribed(b, 't/4/x', a, 't/4/x')
      const startedMs = systemClock.monotonicMs()
      for (let count = 1; count <= 50; count += 1) {
        a.publish('t/4/x', text(count))
        await received(got, count)
      }
      expect(systemClock.monotonicMs() - startedMs).toBeLessThan(5000)
      await a.flush()
      expect(a.queuedBytes()).toBe(0)
    })
  })

  describe('kafka: topics', () => {
    it('missing - are made with the settings stated', async () => {
      await open({ meshName: 'schemas', retentionMs: 7_200_000 })
      const resources = ['telemetry', 'acks', 'schemas'].map((kind) => ({
        resourceType: 2 as const,
        resourceName: `skein.schemas.${kind}`,
      }))
      const described = await admin().describeConfigs({ resources })
      const settings = described.map(({ configs }) =>
        Object.fromEntries(configs.map(({ name, value }) => [name, value])),
      )
      expect(settings[0]).toMatchObject({
        'retention.ms': '7200000',
        'cleanup.policy': 'delete',
        'message.timestamp.type': 'LogAppendTime',
        'max.message.bytes': String(9 * MIB),
      })
      expect(settings[1]).toMatchObject({ 'retention.ms': '600000' })
      expect(settings[2]).toMatchObject({ 'cleanup.policy': 'compact' })
    })

    it.each([
      {
        wrong: 'too few partitions',
        meshName: 'few',
        topic: { partitions: 3 },
        says: 'topic skein.few.telemetry has 3 partitions, 64 are needed',
      },
      {
        wrong: 'too small a message limit',
        meshName: 'small',
        topic: { partitions: 64, configs: [{ name: 'max.message.bytes', value: '1000' }] },
        says: 'topic skein.small.telemetry has max.message.bytes=1000',
      },
      {
        wrong: 'compaction',
        meshName: 'lossy',
        topic: {
          partitions: 64,
          configs: [
            { name: 'cleanup.policy', value: 'compact' },
            { name: 'max.message.bytes', value: String(9 * MIB) },
          ],
        },
        says: 'topic skein.lossy.telemetry has cleanup.policy=compact',
      },
    ])(
      '$wrong - is said, left alone, and over once repaired',
      async ({ meshName, topic, says }) => {
        const name = `skein.${meshName}.telemetry`
        const one = admin()
        await one.createTopics({ topics: [name], replicas: 1, ...topic })
        const reasons: (string | undefined)[] = []
        const a = await open({ meshName, onTrouble: (reason) => reasons.push(reason) })
        expect(a.trouble()).toContain(says)
        expect(a.trouble()).toMatch(/; trying again$/)
        expect(a.isConnected).toBe(false)
        expect(a.publish('t/1/x', text('x'))).toBe(false)
        expect(a.counters().droppedMessages).toBe(1)
        await one.deleteTopics({ topics: [name] })
        await connected(a)
        expect(a.trouble()).toBeUndefined()
        expect(reasons.at(-1)).toBeUndefined()
      },
    )

    it('deleted while in use - are made again', async () => {
      const [a, b] = [await open({ meshName: 'schemas' }), await open({ meshName: 'schemas' })]
      const got = await subscribed(b, 't/1/x', a, 't/1/x')
      const consumer = new Consumer()
      const consumption = await b.consume('storedeleted', consumer.onBatch)
      consumption.assign(shards(1))
      await publishAll(a, 't/1/x', numbers(10, 'before'))
      await consumer.has(numbers(10, 'before'))
      await admin().deleteTopics({ topics: ['skein.schemas.telemetry'] })
      await arrives(a, 't/1/x', got)
      await consumer.getsFrom(a, 't/1/x', numbers(10, 'after'))
    })
  })

  describe('kafka: consume', () => {
    it('new shards - begin before now; both topics come', async () => {
      const [a, b] = [await open(), await open()]
      await publishAll(a, 't/10/x', numbers(100, 'live'))
      await publishAll(a, 'b/10', numbers(100, 'backlog'))
      await a.flush()
      const consumer = new Consumer()
      const consumption = await b.consume('storenew', consumer.onBatch)
      consumption.assign(shards(10))
      await consumer.has([...numbers(100, 'live'), ...numbers(100, 'backlog')])
      expect(consumer.texts.length).toBe(200)
      await publishAll(a, 't/11/x', numbers(5, 'foreign'))
      await publishAll(a, 't/10/x', numbers(5, 'more'))
      await consumer.has(numbers(5, 'more'))
      expect(consumer.texts.some((value) => value.startsWith('foreign'))).toBe(false)
      await eventually(() => consumption.lag() === 0)
    })

    it('the handler rejects - the same messages come again, in order', async () => {
      const [a, b] = [await open(), await open()]
      const consumer = new Consumer()
      const refused: string[] = []
      consumer.before = (batch) => {
        if (refused.length >= 3) return
        refused.push(batch.map(({ bytes }) => bytes.toString()).join(' '))
        throw new Error('handler rejects, on purpose')
      }
      const consumption = await b.consume('storerejects', consumer.onBatch)
      consumption.assign(shards(12))
      await publishAll(a, 't/12/x', numbers(20))
      await consumer.has(numbers(20))
      expect(new Set(refused).size).toBe(1)
      expect(consumer.texts).toEqual([...numbers(20)].map(String))
    })

    it('one batch at a time - and what waits is bounded', async () => {
      const [a, b] = [await open(), await open()]
      const gate = Promise.withResolvers<void>()
      let calls = 0
      const consumer = new Consumer()
      consumer.before = () => {
        calls += 1
        return gate.promise
      }
      const consumption = await b.consume('storeslow', consumer.onBatch)
      consumption.assign(shards(13))
      const bytes = Array.from({ length: 2000 }, () => Buffer.alloc(16_000, 1))
      await publishAll(a, 't/13/x', bytes)
      await a.flush()
      await eventually(() => consumption.lag() > 1000, { what: 'the lag to be known' })
      expect(calls).toBe(1)
      // 31 MiB were published. At most one batch, what is read ahead and one fetch are here.
      expect(b.counters().receivedBytes).toBeLessThan(21 * MIB)
      gate.resolve()
      await eventually(() => consumer.texts.length === 2000, { what: 'all of it' })
      await eventually(() => consumption.lag() === 0)
    })

    it('assign() under load - shards that stay miss nothing, new ones go back', async () => {
      const [a, b] = [await open(), await open()]
      const consumer = new Consumer()
      const consumption = await b.consume('storeassign', consumer.onBatch)
      const sent: Buffer[] = []
      const publishing = new AbortController()
      const load = (async () => {
        for (let index = 0; !publishing.signal.aborted; index += 1) {
          for (const shard of [20, 21, 22]) {
            const bytes = text(`${shard}:${index}`)
            sent.push(bytes)
            if (!a.publish(`t/${shard}/x`, bytes)) await a.flush()
          }
          if (index % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
        }
      })()
      for (const set of [[20], [20, 21], [20, 21, 22], [20, 22], [20, 21, 22]]) {
        consumption.assign(shards(...set))
        const before = consumer.texts.length
        await eventually(() => consumer.texts.length > before + 1000, { what: 'messages to come' })
      }
      publishing.abort()
      await load
      await a.flush()
      await consumer.has(sent)
      const of20 = consumer.texts.filter((value) => value.startsWith('20:'))
      // The shard that stayed all the time came once and in order.
      expect(of20).toEqual([...new Set(of20)])
      expect(of20.length).toBe(sent.length / 3)
    })

    it('again under the same name - goes on where it was', async () => {
      const a = await open()
      const [first, second] = [await open(), await open()]
      const consumer = new Consumer()
      const consumption = await first.consume('storeagain', consumer.onBatch)
      consumption.assign(shards(30))
      await publishAll(a, 't/30/x', numbers(500, 'before'))
      await consumer.has(numbers(500, 'before'))
      await first.close()
      await publishAll(a, 't/30/x', numbers(500, 'between'))
      await a.flush()
      const later = new Consumer()
      const resumed = await second.consume('storeagain', later.onBatch)
      resumed.assign(shards(30))
      await later.has(numbers(500, 'between'))
      expect(later.texts.length).toBe(500)
    })

    it('closed - the handler is not called any more', async () => {
      const [a, b] = [await open(), await open()]
      const consumer = new Consumer()
      const consumption = await b.consume('storeclosed', consumer.onBatch)
      consumption.assign(shards(31))
      await publishAll(a, 't/31/x', numbers(10))
      await consumer.has(numbers(10))
      await Promise.all([consumption.close(), consumption.close()])
      await publishAll(a, 't/31/x', numbers(10, 'late'))
      await a.flush()
      const got = await subscribed(b, 't/31/x', a, 't/31/x')
      expect(got.probes).toBeGreaterThan(0)
      expect(consumer.texts.length).toBe(10)
    })
  })
})

systemSuite(
  'kafka',
  () => {
    let kafka: RunningSystem

    beforeAll(async () => {
      const sasl = { username: 'skein', password: 'secret' }
      kafka = await startSystem('kafka', { kafka: { sasl } })
    }, 90_000)

    afterAll(async () => {
      await kafka?.stop()
    })

    it('credentials - wrong ones are said and tried again, the right ones work', async () => {
      const wrong = make(kafka.address, { username: 'skein', password: 'wrong' })
      await wrong.open()
      expect(wrong.trouble()).toMatch(/refuses these credentials \(user skein\).*trying again$/)
      expect(wrong.isConnected).toBe(false)
      await wrong.close()
      const none = make(kafka.address, {})
      await none.open()
      expect(none.isConnected).toBe(false)
      expect(none.trouble()).toMatch(/username/)
      await none.close()
      const mechanism = make(kafka.address, {
        username: 'skein',
        password: 'secret',
        mechanism: 'SCRAM-SHA-256',
      })
      await mechanism.open()
      expect(mechanism.trouble()).toMatch(/check mechanism/)
      await mechanism.close()
      const right = make(kafka.address, { username: 'skein', password: 'secret' })
      await right.open()
      expect(right.trouble()).toBeUndefined()
      const got = await subscribed(right, 't/1/x', right, 't/1/x')
      right.publish('t/1/x', text('in'))
      await received(got, 1)
      await right.close()
    })
  },
  'kafka with credentials',
)
