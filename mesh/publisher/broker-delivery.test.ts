import { afterEach, describe, expect, it } from 'vitest'
import { FakeClock } from '../fake-clock.ts'
import { rankStores, shardOf } from '../placement.ts'
import { SeededRandom } from '../seeded-random.ts'
import { Session } from '../session.ts'
import { ScriptedBroker } from '../testing/scripted-broker.ts'
import { ScriptedStore, TEST_MESH } from '../testing/scripted-store.ts'
import type { Publisher } from './publisher.ts'

const STREAM = 'vehicle.motion'
const SOURCE = 'V1'
const TOPIC = `t/${shardOf(SOURCE)}/${STREAM}`
const BACKLOG = `b/${shardOf(SOURCE)}`

class World {
  readonly clock = new FakeClock()
  readonly random = new SeededRandom(7)
  readonly broker = new ScriptedBroker(this.clock, this.random)
  readonly stores: ScriptedStore[] = []
  session!: Session
  publisher!: Publisher

  async start(stores: number): Promise<void> {
    const { clock, random, broker } = this
    for (let i = 0; i < stores; i++) {
      const transport = broker.transport()
      const store = new ScriptedStore({ transport, clock, random, members: new Map() })
      this.stores.push(store)
      await store.open()
    }
    const transport = broker.transport()
    this.session = new Session({ mesh: TEST_MESH, clock, random, seeds: [], transport })
    await this.session.open()
    this.publisher = await this.session.publisher({})
    await clock.advance(2_500)
  }

  async publish(count = 1): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.publisher.publish(STREAM, SOURCE, { timeUs: this.clock.nowUs(), fields: { n: i } })
      await this.clock.advance(5)
    }
  }

  /** Owners of the source's shard, best first. */
  owners(): ScriptedStore[] {
    const ids = this.stores.map(({ storeId }) => storeId)
    const ranking = rankStores(shardOf(SOURCE), ids)
    return ranking.map((id) => this.stores.find(({ storeId }) => storeId === id)!)
  }

  get repeated(): number {
    return this.broker.topics.filter((topic) => topic === BACKLOG).length
  }

  async close(): Promise<void> {
    const closing = [this.session, ...this.stores.map(({ session }) => session)]
    const closed = Promise.all(closing.map((each) => each.close()))
    await this.clock.advance(20_000)
    await closed
  }
}

describe('delivery through a broker', () => {
  let world: World

  afterEach(() => world.close())

  const started = async (stores = 3): Promise<World> => {
    world = new World()
    await world.start(stores)
    return world
  }

  it('is published once, however many stores take it', async () => {
    const { broker, publisher, clock } = await started()
    await world.publish(20)
    await clock.advance(30_000)
    expect(publisher.pendingFrames).toBe(0)
    expect(broker.topics).toEqual(Array.from({ length: 20 }, () => TOPIC))
  })

  it('is not repeated for 10 s although nobody acknowledges; then it is, to owners only', async () => {
    const { stores, clock } = await started()
    for (const store of stores) store.acknowledges = false
    await world.publish()
    await clock.advance(9_500)
    expect(world.repeated).toBe(0)
    await clock.advance(1_000)
    expect(world.repeated).toBe(1)
    // Doubling: not again for 20 s.
    await clock.advance(18_000)
    expect(world.repeated).toBe(1)
    await clock.advance(3_000)
    expect(world.repeated).toBe(2)
  })

  it('is sent again at once when an owner acknowledges what came later', async () => {
    const { broker, publisher, clock } = await started()
    let count = 0
    broker.loses = (topic) => topic === TOPIC && ++count === 3
    await world.publish(10)
    await clock.advance(1_000)
    expect(world.repeated).toBe(1)
    expect(publisher.pendingFrames).toBe(0)
  })

  it('a broker that is away: nothing is sent, and all of it is once it is back', async () => {
    const { broker, stores, publisher, clock } = await started()
    for (const store of stores) store.acknowledges = false
    await world.publish(5)
    broker.setUp(false)
    expect(publisher.trouble()).toBe('the broker is away')
    const { length } = broker.topics
    await world.publish(5)
    await clock.advance(60_000)
    expect(broker.topics).toHaveLength(length)
    for (const store of stores) store.acknowledges = true
    broker.setUp(true)
    await clock.advance(2_000)
    expect(publisher.pendingFrames).toBe(0)
    // Nobody watches live what is a minute old.
    expect(new Set(broker.topics.slice(length))).toEqual(new Set([BACKLOG]))
    expect(publisher.trouble()).toBeUndefined()
  })

  it('a silence that is the broker`s makes no store suspect', async () => {
    const { broker, session, clock } = await started()
    broker.setUp(false)
    await clock.advance(60_000)
    broker.setUp(true)
    await clock.advance(10)
    expect(session.membership.stores().some(({ suspect }) => suspect)).toBe(false)
  })

  it('an owner that falls silent: what is pending goes to the next, and nothing else', async () => {
    const { clock } = await started()
    const [first, second] = world.owners()
    first!.acknowledges = false
    second!.acknowledges = false
    await world.publish()
    await clock.advance(1_000)
    expect(world.repeated).toBe(0)
    await first!.session.close()
    await clock.advance(5_000)
    expect(world.repeated).toBe(1)
    second!.speak()
    await clock.advance(100)
    expect(world.publisher.pendingFrames).toBe(0)
  })

  it('one publisher has at most 4 MiB on its way', async () => {
    const { stores, broker, publisher, clock } = await started()
    for (const store of stores) store.acknowledges = false
    const text = 'x'.repeat(200_000)
    let bytes = 0
    const carry = broker.carry.bind(broker)
    broker.carry = (topic, message) => {
      if (topic === TOPIC) bytes += message.length
      carry(topic, message)
    }
    for (let i = 0; i < 40; i++) {
      publisher.publish(STREAM, SOURCE, { timeUs: clock.nowUs(), fields: { text } })
      await clock.advance(5)
    }
    expect(bytes).toBeGreaterThan(3 << 20)
    expect(bytes).toBeLessThanOrEqual(4 << 20)
    for (const store of stores) store.speak()
    await clock.advance(2_000)
    expect(publisher.pendingFrames).toBe(0)
  })

  it('a sample that makes a message above the limit is given up and told; the next goes on', async () => {
    const { broker, publisher, clock } = await started()
    broker.messageBytesMax = 100_000
    const text = 'x'.repeat(150_000)
    publisher.publish(STREAM, SOURCE, { timeUs: clock.nowUs(), fields: { text } })
    await clock.advance(100)
    publisher.publish(STREAM, SOURCE, { timeUs: clock.nowUs(), fields: { text: 'y' } })
    await clock.advance(2_000)
    expect(publisher.counters.samplesUnfit).toBe(1)
    expect(publisher.pendingFrames).toBe(0)
    expect(publisher.trouble()).toBeUndefined()
  })

  it('a limit that was lowered under a sealed frame: it waits, is told, and goes when it fits again', async () => {
    const { broker, publisher, clock } = await started()
    broker.setUp(false)
    const text = 'x'.repeat(150_000)
    publisher.publish(STREAM, SOURCE, { timeUs: clock.nowUs(), fields: { text } })
    await clock.advance(2_000)
    broker.messageBytesMax = 100_000
    broker.setUp(true)
    await clock.advance(2_000)
    expect(publisher.pendingFrames).toBe(1)
    expect(publisher.trouble()).toMatch(
      /exceeds 100000 .*: it stays in the outbox until nats takes it/,
    )
    broker.messageBytesMax = 8 << 20
    await clock.advance(15_000)
    expect(publisher.pendingFrames).toBe(0)
    expect(publisher.trouble()).toBeUndefined()
  })

  it('backlog that owners are slow to take is not sent again each time something fresh is', async () => {
    const { broker, stores, publisher, clock } = await started()
    broker.setUp(false)
    await world.publish(100)
    await clock.advance(2_000)
    // Backlog is taken 3 s late; what is fresh overtakes it.
    broker.delayMs = (topic) => (topic === BACKLOG ? 3_000 : 1)
    broker.setUp(true)
    for (let i = 0; i < 40; i++) {
      await world.publish()
      await clock.advance(100)
    }
    broker.delayMs = () => 1
    await clock.advance(10_000)
    expect(publisher.pendingFrames).toBe(0)
    const repeats = stores.reduce((sum, store) => sum + store.repeats, 0) / stores.length
    // 0.2, 0.4, 0.8, 1.6 s: at most four times each.
    expect(repeats).toBeLessThan(5 * 100)
  })

  it('a loss of the broker that is noticed late makes no store suspect', async () => {
    const { broker, session, clock } = await started()
    const loses = broker.loses
    broker.loses = () => true
    await clock.advance(6_000)
    broker.setUp(false)
    await clock.advance(5_000)
    broker.loses = loses
    broker.setUp(true)
    await clock.advance(10)
    expect(session.membership.stores().some(({ suspect }) => suspect)).toBe(false)
  })
})
