import { afterEach, describe, expect, it } from 'vitest'
import { ACK_LEVELS } from '../ack.ts'
import { codecFor } from '../codecs/index.ts'
import { FakeClock } from '../fake-clock.ts'
import type { Frame } from '../frame.ts'
import { rankStores, shardOf } from '../placement.ts'
import { framesTopic } from '../topic.ts'
import type { Sample } from '../sample.ts'
import { compileSchema, inferSchema } from '../schema.ts'
import { SeededRandom } from '../seeded-random.ts'
import { Session } from '../session.ts'
import { addScriptedStores, nameOf, STORE_SEED, TEST_MESH } from '../testing/scripted-store.ts'
import type { ScriptedStore } from '../testing/scripted-store.ts'
import { createMemoryNetwork, type MemoryNetwork } from '../transports/memory-network.ts'
import type { FrameReceipt, PublisherOptions, Receipt } from './options.ts'
import type { Publisher } from './publisher.ts'
import { StoreQueue } from './store-queue.ts'

const STREAM = 'vehicle.motion'

class World {
  readonly clock = new FakeClock()
  readonly random = new SeededRandom(7)
  readonly network: MemoryNetwork = createMemoryNetwork({ clock: this.clock, random: this.random })
  readonly stores: ScriptedStore[] = []
  readonly receipts: FrameReceipt[] = []
  session!: Session
  publisher!: Publisher

  addStores(count: number): Promise<void> {
    return addScriptedStores(this, count)
  }

  async publish(options: Omit<PublisherOptions, keyof typeof GIVEN> = {}): Promise<Publisher> {
    this.session = new Session({
      mesh: TEST_MESH,
      clock: this.clock,
      random: this.random,
      seeds: [STORE_SEED],
      transport: this.network.transport({
        meshId: TEST_MESH.id,
        endpoint: false,
      }),
    })
    await this.session.open()
    this.publisher = await this.session.publisher({
      ...options,
      onReceipt: (receipt) => this.receipts.push(receipt),
    })
    await this.clock.advance(2_500)
    return this.publisher
  }

  /** Owners of a source's shard, best first. */
  ranked(source: string): ScriptedStore[] {
    const ranking = rankStores(
      shardOf(source),
      this.stores.map(({ storeId }) => storeId),
    )
    return ranking.map((id) => this.stores.find(({ storeId }) => storeId === id)!)
  }

  async close(): Promise<void> {
    const closing = [this.session, ...this.stores.map(({ session }) => session)]
    const closed = Promise.all(closing.map((each) => each?.close()))
    await this.clock.advance(20_000)
    await closed
  }
}

const GIVEN = { mesh: 0, transport: 0, membership: 0, clock: 0, random: 0 }

const sample = (n: number): Sample => ({
  timeUs: 1_767_225_600_000_000 + n,
  // Irregular on purpose: what compresses well would not fill an outbox.
  fields: { speed: Math.sin(n) * 1000 },
})

const samplesOf = (frames: Iterable<Frame>): number[] => {
  const schema = inferSchema([sample(0)])
  return [...frames]
    .filter(({ kind }) => kind === 'data')
    .sort((a, b) => a.sequence - b.sequence)
    .flatMap(({ codec, body, count }) => codecFor(codec).decode(body, count, schema))
    .map(({ timeUs }) => timeUs - 1_767_225_600_000_000)
}

describe('publisher', () => {
  let world: World

  afterEach(() => world.close())

  it('acknowledges once W stores hold the frame, and names them', async () => {
    world = new World()
    await world.addStores(3)
    const publisher = await world.publish()
    publisher.publish(STREAM, 'VH001', sample(1))
    const stored = publisher.stored()
    await world.clock.advance(50)
    const receipt = await stored
    const owners = world
      .ranked('VH001')
      .slice(0, 2)
      .map(({ storeId }) => storeId)
    expect(receipt.level).toBe('synced')
    expect([...receipt.stores].sort()).toEqual(owners.sort())
    expect(world.ranked('VH001')[2]!.frames.size).toBe(0)
    expect(publisher.pendingSamples).toBe(0)
  })

  it.each(ACK_LEVELS)(
    '%s - is what it asks for, and what less says does not count',
    async (level) => {
      world = new World()
      await world.addStores(2)
      const publisher = await world.publish({ level })
      const [slow, quick] = world.stores as [ScriptedStore, ScriptedStore]
      const levels = ACK_LEVELS.slice(0, ACK_LEVELS.indexOf(level) + 1)
      quick.level = 'synced'
      let receipt: Receipt | undefined
      publisher.publish(STREAM, 'VH001', sample(1))
      void publisher.stored().then((stored) => (receipt = stored))
      for (const reached of levels) {
        expect(receipt).toBeUndefined()
        slow.acknowledges = false
        slow.level = reached
        await world.clock.advance(10_000)
        slow.speak()
        await world.clock.advance(50)
      }
      expect(receipt).toMatchObject({ level })
      expect([...receipt!.stores].sort()).toEqual(world.stores.map(({ storeId }) => storeId).sort())
      expect(new Set([...slow.wanted, ...quick.wanted])).toEqual(new Set([level]))
      expect(world.receipts.map((each) => each.level)).toEqual([level])
    },
  )

  it('gathers the samples of one turn in one frame, and sends a quiet source at once', async () => {
    world = new World()
    await world.addStores(2)
    const publisher = await world.publish()
    for (let n = 1; n <= 10; n++) publisher.publish(STREAM, 'VH001', sample(n))
    await world.clock.advance(2)
    publisher.publish(STREAM, 'VH001', sample(11))
    await world.clock.advance(2)
    const frames = [...world.stores[0]!.frames.values()]
    expect(frames.map(({ sequence, count }) => [sequence, count])).toEqual([
      [1, 10],
      [2, 1],
    ])
    expect(samplesOf(frames)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  })

  it('acknowledges nothing while fewer than W stores hold the frame', async () => {
    world = new World()
    await world.addStores(2)
    const publisher = await world.publish()
    world.stores[1]!.acknowledges = false
    publisher.publish(STREAM, 'VH001', sample(1))
    let done = false
    void publisher.stored().then(() => (done = true))
    await world.clock.advance(10_000)
    expect(done).toBe(false)
    expect(publisher.pendingSamples).toBe(1)
    world.stores[1]!.speak()
    await world.clock.advance(100)
    expect(done).toBe(true)
  })

  it('sends again until it is acknowledged, to the stores alone', async () => {
    world = new World()
    await world.addStores(2)
    const publisher = await world.publish()
    publisher.publish(STREAM, 'VH001', sample(1))
    await world.clock.advance(50)
    world.network.faults.loss = 1
    publisher.publish(STREAM, 'VH001', sample(2))
    await world.clock.advance(150)
    world.network.faults.loss = 0
    await world.clock.advance(1_000)
    expect(publisher.pendingSamples).toBe(0)
    for (const store of world.stores) {
      expect(samplesOf(store.frames.values())).toEqual([1, 2])
      expect(new Set(store.topics)).toEqual(new Set([framesTopic(store.storeId)]))
    }
  })

  it('turns to the next store at once when the link of an owner is lost', async () => {
    world = new World()
    await world.addStores(3)
    const publisher = await world.publish()
    publisher.publish(STREAM, 'VH001', sample(1))
    await world.clock.advance(50)
    const [owner, second, next] = world.ranked('VH001')
    await Promise.all([owner!.session.close(), world.clock.advance(2_000)])
    publisher.publish(STREAM, 'VH001', sample(2))
    await world.clock.advance(500)
    expect(publisher.pendingSamples).toBe(0)
    expect(samplesOf(second!.frames.values())).toEqual([1, 2])
    expect(samplesOf(next!.frames.values())).toEqual([2])
  })

  it('a store that falls silent fills its own grant and delays nobody else', async () => {
    world = new World()
    await world.addStores(3)
    const publisher = await world.publish({ outboxMemoryBytes: 8 << 20 })
    const mute = world.ranked('VH001')[0]!
    mute.acknowledges = false
    mute.grantBytes = 64 * 1024
    await world.clock.advance(1_500)
    const sources = Array.from({ length: 40 }, (_, i) => `VH${i}`)
    const spared = sources.filter((source) => !world.ranked(source).slice(0, 2).includes(mute))
    for (let n = 0; n < 200; n++) {
      for (const source of sources) publisher.publish(STREAM, source, sample(n))
      await world.clock.advance(5)
    }
    const inFlight = publisher
      .queues()
      .find((queue) => queue instanceof StoreQueue && queue.storeId === mute.storeId)!
    expect(inFlight.inFlightBytes).toBeGreaterThan(0)
    expect(inFlight.inFlightBytes).toBeLessThanOrEqual(64 * 1024)
    expect(spared.length).toBeGreaterThan(0)
    const done = new Set(world.receipts.map(({ source, sequence }) => `${source} ${sequence}`))
    for (const source of spared) expect(done.has(`${source} 190`)).toBe(true)
    mute.speak()
    await world.clock.advance(3_000)
    expect(publisher.pendingSamples).toBe(0)
  })

  it('gives a frame a name in a new epoch when a store holds other bytes under it', async () => {
    world = new World()
    await world.addStores(2)
    const publisher = await world.publish()
    const lane = publisher.series(STREAM, 'VH001').lane
    const name = { source: 'VH001', stream: STREAM, epoch: lane.epoch, sequence: 1 }
    world.stores[0]!.conflicting.add(nameOf(name as Frame))
    publisher.publish(STREAM, 'VH001', sample(1))
    await world.clock.advance(500)
    expect(publisher.pendingSamples).toBe(0)
    expect(publisher.counters.conflicts).toBe(1)
    const [frame] = [...world.stores[0]!.frames.values()]
    expect(frame!.epoch).not.toBe(lane.epoch)
    expect(samplesOf([frame!])).toEqual([1])
    publisher.publish(STREAM, 'VH001', sample(2))
    await world.clock.advance(500)
    expect(samplesOf(world.stores[0]!.frames.values())).toEqual([1, 2])
  })

  it('refuse - a full outbox refuses the sample, and takes samples again when there is room', async () => {
    world = new World()
    const publisher = await world.publish({ outboxMemoryBytes: 100_000, frameBytes: 1_000 })
    let taken = 0
    while (publisher.publish(STREAM, 'VH001', sample(taken))) taken += 1
    expect(taken).toBeGreaterThan(100)
    expect(publisher.outboxBytes).toBeLessThanOrEqual(100_000)
    expect(publisher.counters.samplesRefused).toBe(1)
    let roomy = false
    void publisher.room().then(() => (roomy = true))
    await world.addStores(2)
    await world.clock.advance(5_000)
    expect(roomy).toBe(true)
    expect(publisher.pendingSamples).toBe(0)
    expect(samplesOf(world.stores[0]!.frames.values())).toHaveLength(taken)
  })

  it('drop-oldest - the newest samples stay, and a skip frame lists the dropped sequences', async () => {
    world = new World()
    const publisher = await world.publish({
      outboxMemoryBytes: 1e5,
      frameBytes: 1e3,
      whenFull: () => 'drop-oldest',
    })
    for (let n = 0; n < 10_000; n++)
      expect(publisher.publish(STREAM, 'VH001', sample(n))).toBe(true)
    expect(publisher.outboxBytes).toBeLessThanOrEqual(101_500)
    const dropped = publisher.counters.samplesDroppedOldest
    expect(dropped).toBeGreaterThan(1_000)
    await world.addStores(2)
    await world.clock.advance(5_000)
    const frames = [...world.stores[0]!.frames.values()]
    const kept = samplesOf(frames)
    expect(kept).toHaveLength(10_000 - dropped)
    expect(kept.at(-1)).toBe(9_999)
    expect(accountedFor(frames)).toBe(true)
    const skipped = frames.filter(({ kind }) => kind === 'skip')
    expect(skipped.reduce((sum, frame) => sum + runsOf(frame).samples, 0)).toBe(dropped)
  })

  it('drop-newest - what was accepted first stays, and the hole is listed', async () => {
    world = new World()
    const publisher = await world.publish({
      outboxMemoryBytes: 1e5,
      frameBytes: 1e3,
      whenFull: () => 'drop-newest',
    })
    for (let n = 0; n < 10_000; n++)
      expect(publisher.publish(STREAM, 'VH001', sample(n))).toBe(true)
    const dropped = publisher.counters.samplesDroppedNewest
    expect(dropped).toBeGreaterThan(1_000)
    await world.addStores(2)
    await world.clock.advance(5_000)
    publisher.publish(STREAM, 'VH001', sample(10_000))
    await world.clock.advance(1_000)
    const frames = [...world.stores[0]!.frames.values()]
    const kept = samplesOf(frames)
    expect(kept[0]).toBe(0)
    expect(kept.at(-1)).toBe(10_000)
    expect(kept).toHaveLength(10_001 - dropped)
    expect(accountedFor(frames)).toBe(true)
  })

  it('refuses a sample that breaks its schema, and says which field', async () => {
    world = new World()
    const schema = compileSchema({
      type: 'object',
      properties: { speed: { type: 'number', maximum: 300 } },
      required: ['speed'],
    })
    const publisher = await world.publish({ schemas: new Map([[STREAM, schema]]) })
    const bad = { timeUs: 1, fields: { speed: 'fast' } }
    expect(() => publisher.publish(STREAM, 'VH001', bad)).toThrow(/speed/)
    expect(() => publisher.publish(STREAM, 'VH001', { timeUs: 1.5, fields: { speed: 1 } })).toThrow(
      /time 1.5/,
    )
    expect(publisher.pendingSamples).toBe(0)
  })

  it('closes each lane with an end frame', async () => {
    world = new World()
    await world.addStores(2)
    const publisher = await world.publish()
    publisher.publish(STREAM, 'VH001', sample(1))
    const [undelivered] = await Promise.all([publisher.close(), world.clock.advance(1_000)])
    expect(undelivered).toBe(0)
    const kinds = [...world.stores[0]!.frames.values()].map(({ kind, sequence }) => [
      kind,
      sequence,
    ])
    expect(kinds).toEqual([
      ['data', 1],
      ['end', 2],
    ])
  })

  it('says how many samples it could not deliver', async () => {
    world = new World()
    const publisher = await world.publish()
    for (let n = 0; n < 7; n++) publisher.publish(STREAM, 'VH001', sample(n))
    const [undelivered] = await Promise.all([
      publisher.close({ drainMs: 500 }),
      world.clock.advance(2_000),
    ])
    expect(undelivered).toBe(7)
  })
})

function runsOf(frame: Frame): { sequences: number[]; samples: number } {
  const { runs } = JSON.parse(frame.body.toString()) as { runs: [number, number, number][] }
  const sequences = runs.flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i),
  )
  return { sequences, samples: runs.reduce((sum, [, , samples]) => sum + samples, 0) }
}

/** Every sequence up to the last is held or listed by a skip frame, and none is both. */
function accountedFor(frames: readonly Frame[]): boolean {
  const held = frames.map(({ sequence }) => sequence)
  const skipped = frames
    .filter(({ kind }) => kind === 'skip')
    .flatMap((frame) => runsOf(frame).sequences)
  const all = new Set([...held, ...skipped])
  return all.size === held.length + skipped.length && all.size === Math.max(...all)
}
