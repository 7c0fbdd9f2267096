import { afterEach, describe, expect, it } from 'vitest'
import { codecFor } from './codecs/index.ts'
import { FakeClock } from './fake-clock.ts'
import { encodeFrame } from './frame.ts'
import { encodeMessage } from './message.ts'
import { newEpoch, type Epoch } from './names.ts'
import { shardOf } from './placement.ts'
import { inferSchema, type Schema } from './schema.ts'
import { SchemaExchange } from './schema-exchange.ts'
import { SeededRandom } from './seeded-random.ts'
import { Session } from './session.ts'
import type { Subscriber } from './subscriber.ts'
import { type LiveFrame, type Missed } from './subscriber.ts'
import { TEST_MESH } from './testing/scripted-store.ts'
import { liveTopic } from './topic.ts'
import { createMemoryNetwork } from './transports/memory-network.ts'

const STREAM = 'city.air'

/** A subscriber, and a bare sender that can send frames in any order. */
class World {
  readonly clock = new FakeClock()
  readonly random = new SeededRandom(3)
  readonly network = createMemoryNetwork({ clock: this.clock, random: this.random })
  readonly schema: Schema = inferSchema([{ timeUs: 0, fields: { pm: 1 } }])
  readonly epoch: Epoch = newEpoch(this.clock.nowUs(), this.random)
  readonly frames: LiveFrame[] = []
  readonly missed: Missed[] = []
  readonly sender = this.network.transport({ meshId: TEST_MESH.id, endpoint: false })
  readonly schemas = new SchemaExchange({
    mesh: TEST_MESH,
    transport: this.sender,
    clock: this.clock,
    scope: 'directed',
  })
  session!: Session
  subscriber!: Subscriber
  slow: Promise<void> | undefined

  async open(queueBytes = 1 << 20): Promise<void> {
    this.session = new Session({
      mesh: TEST_MESH,
      clock: this.clock,
      random: this.random,
      seeds: [],
      transport: this.network.transport({
        meshId: TEST_MESH.id,
        endpoint: 'memory://reader',
      }),
    })
    await this.session.open()
    this.subscriber = await this.session.subscriber({
      streams: [STREAM],
      queueBytes,
      onFrames: async (frames) => {
        this.frames.push(...frames)
        await this.slow
      },
      onMissed: (missed) => this.missed.push(missed),
    })
    await this.sender.open()
    await this.schemas.start()
    this.schemas.add(this.schema)
    this.sender.link('memory://reader')
    await this.clock.advance(100)
  }

  async send(...sequences: number[]): Promise<void> {
    for (const sequence of sequences) {
      const samples = [{ timeUs: 1000 + sequence, fields: { pm: sequence } }]
      const frame = encodeFrame(
        {
          kind: 'data',
          codec: 'columnar',
          source: 's1',
          stream: STREAM,
          epoch: this.epoch,
          sequence,
          firstUs: 1e3 + sequence,
          lastUs: 1e3 + sequence,
          count: 1,
          schemaId: this.schema.id,
        },
        codecFor('columnar').encode(samples, this.schema),
      )
      const message = encodeMessage(TEST_MESH.id, this.sender.peerId, [frame])
      this.sender.publish(liveTopic(shardOf('s1'), STREAM), message)
    }
    await this.clock.advance(20)
  }

  order(): string[] {
    return this.frames.map(({ sequence, late }) => `${sequence}${late ? ' late' : ''}`)
  }

  async close(): Promise<void> {
    await Promise.all([this.session.close(), this.sender.close(), this.clock.advance(5_000)])
  }
}

describe('subscriber', () => {
  const world = { current: new World() }

  afterEach(async () => {
    await world.current.close()
    world.current = new World()
  })

  it('asks for a schema it does not know, and delivers what waited for it', async () => {
    const { current } = world
    await current.open()
    await current.send(1, 2)
    expect(current.order()).toEqual(['1', '2'])
    expect(current.frames[0]!.samples).toEqual([{ timeUs: 1001, fields: { pm: 1 } }])
  })

  it('asks again when the question is lost, and keeps the order of the lane', async () => {
    const { current } = world
    await current.open()
    current.network.faults.loss = 1
    current.session.transport.publish(
      's/ask',
      Buffer.from(current.schema.id),
      current.sender.peerId,
    )
    current.network.faults.loss = 0
    await current.send(1)
    current.network.faults.loss = 1
    await current.clock.advance(10)
    current.network.faults.loss = 0
    await current.send(2)
    await current.clock.advance(2_000)
    expect(current.order()).toEqual(['1', '2'])
  })

  it('delivers each frame once, in order', async () => {
    const { current } = world
    await current.open()
    await current.send(1, 2, 2, 3, 1, 3)
    expect(current.order()).toEqual(['1', '2', '3'])
    expect(current.subscriber.counters.duplicateFrames).toBe(3)
    expect(current.missed).toEqual([])
  })

  it('a gap is told once, and a frame that fills it is flagged late', async () => {
    const { current } = world
    await current.open()
    await current.send(1, 5, 3, 6)
    expect(current.order()).toEqual(['1', '5', '3 late', '6'])
    expect(current.missed).toMatchObject([{ source: 's1', from: 2, to: 4, reason: 'gap' }])
  })

  it('joined in the middle, what came before is no gap', async () => {
    const { current } = world
    await current.open()
    await current.send(40, 41)
    expect(current.order()).toEqual(['40', '41'])
    expect(current.missed).toEqual([])
  })

  it('a slow reader gets the newest frames, is told of the others, and memory stays bounded', async () => {
    const { current } = world
    await current.open(4_000)
    await current.send(1)
    const reading = Promise.withResolvers<void>()
    current.slow = reading.promise
    await current.send(2)
    await current.send(...Array.from({ length: 500 }, (_, i) => i + 3))
    current.slow = undefined
    reading.resolve()
    await current.clock.advance(100)
    const got = current.frames.map(({ sequence }) => sequence)
    const lost = current.missed.flatMap(({ from, to }) =>
      Array.from({ length: to - from + 1 }, (_, i) => from + i),
    )
    expect(current.missed.every(({ reason }) => reason === 'slow')).toBe(true)
    expect(got.at(-1)).toBe(502)
    expect(got.length).toBeLessThan(80)
    expect([...got, ...lost].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 502 }, (_, i) => i + 1),
    )
  })

  it('counts garbage and goes on', async () => {
    const { current } = world
    await current.open()
    current.sender.publish(liveTopic(1, STREAM), Buffer.from('not a message'))
    const broken = encodeMessage(TEST_MESH.id, current.sender.peerId, [
      Buffer.alloc(80, 'not a frame'),
    ])
    current.sender.publish(liveTopic(1, STREAM), broken)
    await current.send(1)
    expect(current.order()).toEqual(['1'])
    expect(current.subscriber.counters).toMatchObject({ rejectedMessages: 1, rejectedFrames: 1 })
  })

  it('a reader that throws does not end the subscription', async () => {
    const { current } = world
    await current.open()
    current.slow = Promise.reject(new Error('reader failed'))
    current.slow.catch(() => undefined)
    await current.send(1)
    current.slow = undefined
    await current.send(2)
    expect(current.order()).toEqual(['1', '2'])
    expect(current.subscriber.counters.failedBatches).toBe(1)
  })
})
