// Lives of a publisher with a disk outbox: each dies without a word, the next one goes on with what
// it left on disk. The stores must end up with every accepted sample once, and every lane with its
// end in the right place.
import { mkdirSync, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Clock, Timer } from '../clock.ts'
import { codecFor } from '../codecs/index.ts'
import { MeshError } from '../errors.ts'
import { FakeClock } from '../fake-clock.ts'
import { openFrame, type Frame } from '../frame.ts'
import { readMessage } from '../message.ts'
import type { Epoch, SchemaId } from '../names.ts'
import { OutboxLog, type Recovered } from '../outbox/log.ts'
import { copySegments, segmentNames } from '../outbox/testing/support.ts'
import type { Sample } from '../sample.ts'
import { compileSchema, schemaFromFrame, type Schema } from '../schema.ts'
import { SeededRandom } from '../seeded-random.ts'
import { Session } from '../session.ts'
import { addScriptedStores, STORE_SEED, TEST_MESH } from '../testing/scripted-store.ts'
import type { ScriptedStore } from '../testing/scripted-store.ts'
import { createMemoryNetwork, type MemoryNetwork } from '../transports/memory-network.ts'
import type { Message } from '../transport.ts'
import type { PublisherOptions, UnfitSample } from './options.ts'
import type { Publisher } from './publisher.ts'

const STREAM = 'vehicle.motion'
const SEGMENT_BYTES = 8_000

type Given = 'mesh' | 'transport' | 'membership' | 'clock' | 'random' | 'outboxLog'
type Options = Omit<PublisherOptions, Given>

let root: string
let world: World

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'skein-recovery-'))
  world = new World()
})

afterEach(async () => {
  await world.close()
  rmSync(root, { recursive: true })
})

/** The clock of one life: when that is over its timers fire no more. */
class LifeClock implements Clock {
  isOver = false
  private readonly clock: Clock

  constructor(clock: Clock) {
    this.clock = clock
  }

  nowUs(): number {
    return this.clock.nowUs()
  }

  monotonicMs(): number {
    return this.clock.monotonicMs()
  }

  startTimer(delayMs: number, callback: () => void): Timer {
    return this.clock.startTimer(delayMs, () => {
      if (!this.isOver) callback()
    })
  }
}

class World {
  readonly clock = new FakeClock()
  readonly random = new SeededRandom(11)
  readonly network: MemoryNetwork = createMemoryNetwork({ clock: this.clock, random: this.random })
  readonly stores: ScriptedStore[] = []
  readonly unfit: UnfitSample[] = []
  readonly schemas = new Map<SchemaId, Schema>()
  publisher!: Publisher
  log!: OutboxLog
  bootId = 'a'
  private life = 0
  private lifeClock!: LifeClock
  private session: Session | undefined

  addStores(count: number, acknowledges = true): Promise<void> {
    return addScriptedStores(this, count, async (store) => {
      store.acknowledges = acknowledges
      await store.session.transport.subscribe('s/>', (batch) => this.learn(batch), 'directed')
    })
  }

  /** Begins the next life in the directory that the last one left. */
  async begin(options: Options = {}): Promise<Publisher> {
    const { network, clock, random, bootId } = this
    mkdirSync(this.directory, { recursive: true })
    this.lifeClock = new LifeClock(clock)
    this.log = await OutboxLog.open({
      directory: this.directory,
      meshId: TEST_MESH.id,
      clock: this.lifeClock,
      segmentBytes: SEGMENT_BYTES,
      bootId,
    })
    this.session = new Session({
      mesh: TEST_MESH,
      clock: this.lifeClock,
      random,
      seeds: [STORE_SEED],
      transport: network.transport({
        meshId: TEST_MESH.id,
        endpoint: false,
        clock: this.lifeClock,
      }),
    })
    await this.session.open()
    this.publisher = await this.session.publisher({
      onUnfit: (unfit) => this.unfit.push(unfit),
      ...options,
      outboxLog: this.log,
    })
    return this.publisher
  }

  /** kill -9, right here: what is on disk now is all that is left, and nothing more is sent. */
  async die(): Promise<void> {
    const { session, network, log, lifeClock } = this
    const from = this.directory
    this.life += 1
    copySegments(from, this.directory)
    const { peerId } = session!.transport
    for (const store of this.stores) network.partition(peerId, store.session.transport.peerId)
    lifeClock.isOver = true
    // What it does from here on, at the end of this turn or when an ack arrives, goes nowhere.
    await log.close()
    this.session = undefined
  }

  /** What a crash in the middle of the last write leaves of it: so many bytes less. */
  tear(bytes: number): void {
    const path = join(this.directory, segmentNames(this.directory).at(-1)!)
    truncateSync(path, statSync(path).size - bytes)
  }

  /** What the next life will find. */
  async left(): Promise<Recovered> {
    const directory = join(root, 'left')
    copySegments(this.directory, directory)
    const log = await OutboxLog.open({ directory, meshId: TEST_MESH.id, clock: this.lifeClock })
    await log.close()
    return log.recovered
  }

  /** All frames that stores hold, once each: no two may hold different bytes under one name. */
  frames(): Frame[] {
    const frames = new Map<string, Frame>()
    for (const store of this.stores) {
      for (const [name, frame] of store.frames) {
        expect(frames.get(name)?.crc ?? frame.crc).toBe(frame.crc)
        frames.set(name, frame)
      }
    }
    return [...frames.values()]
  }

  /** Numbers of the samples in them, ascending. */
  stored(): number[] {
    return this.frames()
      .filter(({ kind }) => kind === 'data')
      .flatMap(({ codec, body, count, schemaId }) =>
        codecFor(codec).decode(body, count, this.schemas.get(schemaId)!),
      )
      .map(({ timeUs }) => timeUs - START_US)
      .sort((a, b) => a - b)
  }

  /** Of each lane of an epoch, `source: kinds in the order of their sequences`, when it is dense. */
  lanes(epoch: Epoch): string[] {
    const frames = this.frames().filter((frame) => frame.epoch === epoch)
    const lanes = Map.groupBy(frames, ({ source }) => source)
    return [...lanes]
      .map(([source, frames]) => {
        frames.sort((a, b) => a.sequence - b.sequence)
        expect(frames.map(({ sequence }) => sequence)).toEqual(frames.map((_, i) => i + 1))
        return `${source}: ${frames.map(({ kind }) => kind).join(' ')}`
      })
      .sort()
  }

  async close(): Promise<void> {
    const sessions = this.stores.map(({ session }) => session)
    if (this.session !== undefined) sessions.push(this.session)
    const closed = Promise.all(sessions.map((each) => each.close()))
    await this.clock.advance(20_000)
    await closed
  }

  private get directory(): string {
    return join(root, `life-${this.life}`)
  }

  private learn(batch: readonly Message[]): void {
    for (const { bytes } of batch) {
      const message = readMessage(Buffer.from(bytes), TEST_MESH.id)
      if (typeof message === 'string') continue
      for (const view of message.frames) {
        const schema = schemaFromFrame(openFrame(view))
        this.schemas.set(schema.id, schema)
      }
    }
  }
}

const START_US = 1_767_225_600_000_000

const sample = (n: number): Sample => ({
  timeUs: START_US + n,
  fields: { speed: Math.sin(n) * 1000 },
})

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

test('what was accepted while no store was up is stored once by the next life', async () => {
  const first = await world.begin()
  for (const n of range(1, 5)) {
    first.publish(STREAM, 'VH001', sample(n))
    first.publish(STREAM, 'VH002', sample(100 + n))
    await world.clock.advance(1_100)
  }
  // Accepted, and not sealed when the process dies.
  first.publish(STREAM, 'VH001', sample(6))
  first.publish(STREAM, 'VH003', sample(200))
  await world.die()
  const second = await world.begin()
  expect(second.pendingSamples).toBe(12)
  second.publish(STREAM, 'VH001', sample(7))
  await world.addStores(2)
  await world.clock.advance(3_000)
  expect(second.pendingSamples).toBe(0)
  expect(world.stored()).toEqual([...range(1, 7), ...range(101, 105), 200])
  expect(world.lanes(first.epoch)).toEqual([
    'VH001: data data data data data end',
    'VH002: data data data data data end',
  ])
  expect(world.lanes(second.epoch)).toEqual(['VH001: data data', 'VH003: data'])
})

test('an old lane gets its end only when all before it is stored, in whichever life that is', async () => {
  const first = await world.begin()
  first.publish(STREAM, 'VH001', sample(1))
  await world.clock.advance(1_100)
  await world.die()
  const second = await world.begin()
  await world.clock.advance(1_000)
  await world.die()
  const third = await world.begin()
  expect(third.pendingFrames).toBe(1)
  await world.addStores(2, false)
  await world.clock.advance(1_000)
  expect(world.lanes(first.epoch)).toEqual(['VH001: data'])
  world.stores[0]!.speak()
  await world.clock.advance(1_000)
  expect(world.lanes(first.epoch)).toEqual(['VH001: data'])
  world.stores[1]!.speak()
  await world.clock.advance(1_000)
  expect(world.lanes(first.epoch)).toEqual(['VH001: data end'])
  expect(third.pendingFrames).toBe(0)
  await world.die()
  await world.begin()
  await world.clock.advance(3_000)
  expect(world.lanes(first.epoch)).toEqual(['VH001: data end'])
  expect(world.lanes(second.epoch)).toEqual([])
  expect(world.log.recovered.lanes).toEqual([])
})

test('stores get the schemas of frames that a later life only forwards', async () => {
  const first = await world.begin()
  first.publish(STREAM, 'VH001', sample(1))
  await world.clock.advance(1_100)
  await world.die()
  await world.begin()
  await world.addStores(2)
  await world.clock.advance(3_000)
  expect(world.stored()).toEqual([1])
})

test('the bytes of recovered frames stay on disk', async () => {
  const first = await world.begin({ frameBytes: 1_000 })
  for (const n of range(1, 5_000)) first.publish(STREAM, 'VH001', sample(n))
  const { outboxBytes, pendingFrames } = first
  expect(outboxBytes).toBeGreaterThan(60_000)
  await world.die()
  const second = await world.begin()
  expect(second.pendingFrames).toBeGreaterThanOrEqual(pendingFrames)
  expect(second.outboxBytes).toBeLessThan(second.pendingFrames * 301 + 2_000)
  await world.addStores(2)
  await world.clock.advance(5_000)
  expect(world.stored()).toEqual(range(1, 5_000))
  expect(second.outboxBytes).toBe(0)
})

test('after a reboot frames drain, and no lane gets an end that might be wrong', async () => {
  const first = await world.begin()
  first.publish(STREAM, 'VH001', sample(1))
  await world.clock.advance(1_100)
  await world.die()
  world.bootId = 'b'
  await world.begin()
  await world.addStores(2)
  await world.clock.advance(3_000)
  expect(world.stored()).toEqual([1])
  expect(world.lanes(first.epoch)).toEqual(['VH001: data'])
})

test('recovered samples that a stricter schema refuses are counted, told and let go', async () => {
  const first = await world.begin()
  for (const n of range(1, 4)) first.publish(STREAM, 'VH001', sample(n))
  await world.die()
  const strict = compileSchema({
    type: 'object',
    properties: { speed: { type: 'number', minimum: 0 } },
  })
  const second = await world.begin({ schemas: new Map([[STREAM, strict]]) })
  // sin(4) is below zero.
  expect(second.counters.samplesUnfit).toBe(1)
  expect(world.unfit).toMatchObject([
    { stream: STREAM, source: 'VH001', sample: sample(4), error: { code: 'MESH_SAMPLE_INVALID' } },
  ])
  await world.addStores(2)
  await world.clock.advance(3_000)
  expect(world.stored()).toEqual([1, 2, 3])
  await world.die()
  await world.begin()
  await world.clock.advance(3_000)
  expect(world.stored()).toEqual([1, 2, 3])
})

test('a sample that no frame can hold does not stop what comes with it', async () => {
  const publisher = await world.begin({ codec: 'json' })
  // A control character takes six bytes in JSON, one in the outbox log.
  const large: Sample = { timeUs: START_US + 2, fields: { text: '\u0001'.repeat(400_000) } }
  await world.addStores(2)
  publisher.publish(STREAM, 'VH001', { timeUs: START_US + 1, fields: { text: 'small' } })
  publisher.publish(STREAM, 'VH001', large)
  publisher.publish(STREAM, 'VH001', { timeUs: START_US + 3, fields: { text: 'small' } })
  await world.clock.advance(3_000)
  expect(publisher.counters.samplesUnfit).toBe(1)
  expect(world.unfit).toMatchObject([{ error: { code: 'MESH_FRAME_TOO_LARGE' } }])
  expect(publisher.pendingSamples).toBe(0)
  expect(world.stored()).toEqual([1, 3])
  expect(world.lanes(publisher.epoch)).toEqual(['VH001: data data'])
})

const diskFull = (): never => {
  throw new MeshError('MESH_OUTBOX_WRITE_FAILED', 'disk full', { retryable: true })
}

test('a sample whose write fails is not accepted and leaves nothing behind', async () => {
  const publisher = await world.begin()
  const full = vi.spyOn(world.log, 'appendSample').mockImplementation(diskFull)
  expect(() => publisher.publish(STREAM, 'VH001', sample(1))).toThrow(/disk full/)
  expect(publisher.pendingSamples).toBe(0)
  expect(publisher.counters.samplesPublished).toBe(0)
  full.mockRestore()
  publisher.publish(STREAM, 'VH001', sample(2))
  await world.addStores(2)
  await world.clock.advance(1_000)
  expect(world.stored()).toEqual([2])
})

test('a whole frame whose write fails is not accepted in part', async () => {
  const publisher = await world.begin()
  const frame = range(1, 4).map(sample)
  const writeOne = world.log.appendSample.bind(world.log)
  const full = [
    vi
      .spyOn(world.log, 'appendSample')
      .mockImplementation(diskFull)
      .mockImplementationOnce(writeOne),
    vi.spyOn(world.log, 'appendSeal').mockImplementation(diskFull),
  ]
  expect(() => publisher.publishFrame(STREAM, 'VH001', frame)).toThrow(/disk full/)
  expect(publisher.pendingSamples).toBe(0)
  expect(publisher.counters.samplesPublished).toBe(0)
  for (const each of full) each.mockRestore()
  expect(publisher.publishFrame(STREAM, 'VH001', frame)).toBe(true)
  await world.addStores(2)
  await world.clock.advance(1_000)
  expect(world.stored()).toEqual(range(1, 4))
  expect(world.lanes(publisher.epoch)).toEqual(['VH001: data'])
})

test('a whole frame does not pass what waits for the outbox log', async () => {
  const publisher = await world.begin()
  await world.addStores(2)
  const full = vi.spyOn(world.log, 'appendSeal').mockImplementation(diskFull)
  publisher.publish(STREAM, 'VH001', sample(1))
  expect(() => publisher.publishFrame(STREAM, 'VH001', [sample(2)])).toThrow(/disk full/)
  full.mockRestore()
  publisher.publishFrame(STREAM, 'VH001', [sample(2)])
  await world.clock.advance(1_000)
  expect(publisher.counters.samplesPublished).toBe(2)
  expect(world.stored()).toEqual([1, 2])
  expect(world.lanes(publisher.epoch)).toEqual(['VH001: data data'])
})

test.each([1, 60, 130])(
  'a crash %i bytes before a whole frame was written leaves nothing of it',
  async (bytes) => {
    const epoch = '0190000000001234' as Epoch
    const frames = [range(1, 4), range(5, 8), range(9, 12)].map((each) => each.map(sample))
    const first = await world.begin({ epoch })
    for (const frame of frames) first.publishFrame(STREAM, 'VH001', frame)
    await world.die()
    world.tear(bytes)
    const { frames: kept, samples } = await world.left()
    expect([kept.length, samples.length]).toEqual([2, 0])
    // A replay cuts the same frames again, and gives them the same names.
    const replay = await world.begin({ epoch })
    for (const frame of frames) replay.publishFrame(STREAM, 'VH001', frame)
    await world.addStores(2)
    await world.clock.advance(3_000)
    await Promise.all([replay.close({ end: true }), world.clock.advance(3_000)])
    expect(world.stored()).toEqual(range(1, 12))
    expect(world.lanes(epoch)).toEqual(['VH001: data data data end'])
  },
)

test('while frames cannot be written accepted samples wait, in order, and no name is used up', async () => {
  const publisher = await world.begin()
  await world.addStores(2)
  await world.clock.advance(1_000)
  const full = vi.spyOn(world.log, 'appendSeal').mockImplementation(diskFull)
  for (const n of range(1, 3)) {
    publisher.publish(STREAM, 'VH001', sample(n))
    await world.clock.advance(500)
  }
  expect(publisher.pendingSamples).toBe(3)
  expect(publisher.trouble()).toMatch(/outbox log/)
  let isStored = false
  void publisher.stored().then(() => (isStored = true))
  await world.clock.advance(500)
  expect(isStored).toBe(false)
  full.mockRestore()
  await world.clock.advance(1_000)
  expect(isStored).toBe(true)
  expect(publisher.trouble()).toBeUndefined()
  expect(world.stored()).toEqual([1, 2, 3])
  expect(world.lanes(publisher.epoch)).toEqual(['VH001: data data data'])
})

test('drop-oldest on disk - drops what makes room, not all there is', async () => {
  const diskBytes = SEGMENT_BYTES * 8
  const publisher = await world.begin({
    whenFull: () => 'drop-oldest',
    outboxDiskBytes: diskBytes,
    frameBytes: 500,
  })
  for (const n of range(1, 4_000)) {
    expect(publisher.publish(STREAM, 'VH001', sample(n))).toBe(true)
    // The disk has its own time.
    if (n % 20 === 0) {
      await world.clock.advance(50)
      await world.log.sync()
    }
    expect(world.log.diskBytes).toBeLessThan(diskBytes * 1.2)
  }
  const { samplesDroppedOldest, samplesDroppedNewest } = publisher.counters
  expect(samplesDroppedNewest).toBe(0)
  expect(samplesDroppedOldest).toBeGreaterThan(1_000)
  expect(publisher.pendingSamples).toBeGreaterThan(400)
  await world.die()
  const next = await world.begin()
  await world.addStores(2)
  await world.clock.advance(5_000)
  // What was dropped in the last moments may be back.
  const stored = world.stored()
  expect(stored).toEqual(range(stored[0]!, 4_000))
  expect(stored.length).toBeGreaterThanOrEqual(4_000 - samplesDroppedOldest)
  expect(next.pendingSamples).toBe(0)
})

test('room comes when the log has shrunk, although nothing more is finished then', async () => {
  const publisher = await world.begin({ outboxDiskBytes: SEGMENT_BYTES * 4 })
  let n = 0
  while (publisher.publish(STREAM, 'VH001', sample(n))) {
    n += 1
    if (n % 50 === 0) await world.clock.advance(1_100)
  }
  let isRoomy = false
  void publisher.room().then(() => (isRoomy = true))
  await world.addStores(2)
  await world.clock.advance(5_000)
  expect(publisher.pendingFrames).toBe(0)
  await world.log.sync()
  await world.clock.advance(200)
  expect(isRoomy).toBe(true)
  expect(publisher.publish(STREAM, 'VH001', sample(n))).toBe(true)
})

test('a replay that died is replayed again under the same names', async () => {
  const epoch = '0190000000001234' as Epoch
  const first = await world.begin({ epoch })
  for (const n of range(1, 5)) first.publishFrame(STREAM, 'VH001', [sample(n)])
  await world.die()
  const second = await world.begin({ epoch })
  for (const n of range(1, 3)) second.publishFrame(STREAM, 'VH001', [sample(n)])
  await world.die()
  const third = await world.begin({ epoch })
  for (const n of range(1, 8)) third.publishFrame(STREAM, 'VH001', [sample(n)])
  await world.addStores(2)
  await world.clock.advance(3_000)
  expect(third.pendingSamples).toBe(0)
  await Promise.all([third.close({ end: true }), world.clock.advance(3_000)])
  expect(world.stored()).toEqual(range(1, 8))
  expect(world.lanes(epoch)).toEqual([`VH001: ${'data '.repeat(8)}end`])
})

test('a frame that the outbox log cannot give back costs a replay no name', async () => {
  const epoch = '0190000000001234' as Epoch
  const frames = range(0, 3).map((i) => range(i * 100 + 1, i * 100 + 100))
  const publish = (publisher: Publisher, numbers: readonly number[]): boolean =>
    publisher.publishFrame(STREAM, 'VH001', numbers.map(sample))
  const onDamaged = vi.fn()
  const first = await world.begin({ epoch, outboxMemoryBytes: 2_000, onDamaged })
  vi.spyOn(world.log, 'read').mockImplementationOnce(() => {
    throw new MeshError('MESH_OUTBOX_DAMAGED', 'frame 2 cannot be read')
  })
  for (const frame of frames.slice(0, 3)) expect(publish(first, frame)).toBe(true)
  await world.addStores(2)
  await world.clock.advance(3_000)
  expect(first.counters.framesDamaged).toBe(1)
  const lost = { source: 'VH001', stream: STREAM, epoch, sequence: 2, count: 100 }
  expect(onDamaged.mock.calls).toEqual([[lost]])
  publish(first, frames[3]!)
  await world.clock.advance(3_000)
  const names = world.frames().map(({ sequence, kind }) => `${kind} ${sequence}`)
  expect(names).toEqual(['data 1', 'data 3', 'data 4'])
  await world.die()
  const again = await world.begin({ epoch })
  for (const frame of frames) publish(again, frame)
  await world.clock.advance(3_000)
  await Promise.all([again.close({ end: true }), world.clock.advance(3_000)])
  expect(again.counters.conflicts).toBe(0)
  expect(world.stored()).toEqual(range(1, 400))
})

/** One life: publishes for some turns, with stores that are silent or not, and dies at any moment. */
async function live(random: SeededRandom, accepted: number[]): Promise<Epoch> {
  const publisher = await world.begin({ frameBytes: 300 })
  const turns = Math.floor(random.next() * 12)
  for (let turn = 0; turn < turns; turn++) {
    for (const store of world.stores) {
      if (random.next() < 0.3) store.acknowledges = false
      else store.speak()
    }
    for (let i = Math.floor(random.next() * 20); i > 0; i--) {
      const n = accepted.length + 1
      const source = `VH00${Math.floor(random.next() * 4)}`
      if (publisher.publish(STREAM, source, sample(n))) accepted.push(n)
    }
    // Also not at all: dies with the turn not yet over.
    if (turn < turns - 1) await world.clock.advance(Math.floor(random.next() ** 3 * 1_500))
  }
  return publisher.epoch
}

test.each([1, 2, 3, 4])(
  'life after life: all is stored once, and every lane ends (seed %i)',
  async (seed) => {
    const random = new SeededRandom(seed)
    const accepted: number[] = []
    const epochs: Epoch[] = []
    for (let life = 0; life < 12; life++) {
      if (life === 3) await world.addStores(3)
      epochs.push(await live(random, accepted))
      await world.die()
    }
    for (const store of world.stores) store.speak()
    const last = await world.begin()
    await world.clock.advance(20_000)
    expect(last.pendingFrames).toBe(0)
    expect(accepted.length).toBeGreaterThan(300)
    expect(world.stored()).toEqual(accepted)
    for (const epoch of epochs) {
      for (const lane of world.lanes(epoch)) expect(lane).toMatch(/^VH00\d: (data )+end$/)
    }
    expect(world.log.diskBytes).toBeLessThan(SEGMENT_BYTES)
  },
)
