import { describe, expect, test } from 'vitest'
import {
  IntervalSet,
  shardOf,
  SHARDS,
  systemClock,
  type Frame,
  type SchemaId,
  type Timer,
} from '../../mesh/index.ts'
import type { DifferencesAnswer, RepairPeer } from '../query/peer.ts'
import {
  dataFrame,
  epochOf,
  schema,
  skipFrame,
  storeId,
  T0,
  TestStore,
} from '../query/test-mesh.ts'
import { RepairIntake } from './intake.ts'
import { Repair, type RepairOptions } from './repair.ts'
import { Writer } from '../writer.ts'

const ALL_SHARDS = Array.from({ length: SHARDS }, (_, i) => i)
/** Of what is gone, lanes older than this are forgotten: it has to be now. */
const NOW_US = systemClock.nowUs()

/** Some stores; the first repairs itself from the others, look by look. */
class World {
  readonly stores: TestStore[]
  readonly repair: Repair
  readonly schemas = new Set<string>()
  readonly damagedSchemas: SchemaId[] = []
  readonly answers: DifferencesAnswer[] = []
  readonly writer: Writer<undefined>
  private nextLook: (() => void) | undefined

  constructor(options: Partial<RepairOptions> & { readonly stores?: number } = {}) {
    const { stores = 2, ...others } = options
    const members = Array.from({ length: stores }, (_, i) => {
      return { storeId: storeId(i + 1), state: 'member', http: `http://${i}` } as const
    })
    this.stores = members.map(({ storeId }) => new TestStore(storeId, () => members))
    const { store, peer, id } = this.mine
    const intake = new RepairIntake(() => this.writer, 1 << 20)
    this.writer = new Writer({
      store,
      clock: systemClock,
      commitIntervalMs: 0,
      onCommitted: (results) => intake.committed(results),
    })
    this.repair = new Repair({
      store,
      fingerprints: peer.fingerprints,
      storeId: id,
      members: () => members,
      isMember: () => true,
      writeQuorum: 1,
      ownedShards: () => ALL_SHARDS,
      connect: (http) => this.connect(Number(http.slice(7))),
      intake,
      schemas: {
        has: (id) => this.schemas.has(id),
        put: async ({ id }) => {
          this.schemas.add(id)
          this.damagedSchemas.splice(this.damagedSchemas.indexOf(id), 1)
        },
        damaged: this.damagedSchemas,
      },
      clock: { ...systemClock, startTimer: (ms, callback) => this.startTimer(ms, callback) },
      ...others,
    })
  }

  get mine(): TestStore {
    return this.stores[0]!
  }

  connect(at: number): RepairPeer {
    const { peer, isDown } = this.stores[at]!
    if (isDown) throw new Error('connection refused')
    return {
      differences: async (request) => {
        const answer = await peer.differences(request)
        this.answers.push(answer)
        return answer
      },
      frames: (request, signal) => peer.frames(request, signal),
      schema: (id: SchemaId) => peer.schema(id),
    }
  }

  /** One look, from its start to the moment the next one is planned. Returns the lanes told of. */
  async look(): Promise<number> {
    this.answers.length = 0
    const planned = new Promise<void>((resolve) => (this.nextLook = resolve))
    this.repair.kick()
    await planned
    return this.answers.flatMap(({ shards }) => shards).flatMap(({ lanes }) => lanes).length
  }

  heldAt(at: number, frame: Frame): number[] {
    return this.stores[at]!.store.lane(frame.laneKey)?.held.toRuns() ?? []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.repair.stop()
    await this.writer.close()
  }

  private startTimer(delayMs: number, callback: () => void): Timer {
    if (delayMs !== 5_000) return systemClock.startTimer(delayMs, callback)
    this.nextLook?.()
    return { cancel: () => undefined }
  }
}

function frames(from: number, to: number, source = 'VH1'): Frame[] {
  return Array.from({ length: to - from + 1 }, (_, i) =>
    dataFrame({ source, epoch: epochOf(1), sequence: from + i }, [
      { timeUs: T0 + i, fields: { speed: i } },
    ]),
  )
}

describe('repair', () => {
  test('on start everything missing is pulled at once, schemas first, with its ingest time', async () => {
    await using world = new World()
    const there = frames(1, 20)
    await world.stores[1]!.hold(there, 77)
    await world.mine.hold(there.slice(5, 8))
    expect(world.repair.caughtUp).toBe(false)
    await world.look()
    expect(world.heldAt(0, there[0]!)).toEqual([1, 20])
    expect([...world.schemas]).toEqual([schema.id])
    expect(world.repair.counters).toMatchObject({ pulledFrames: 17, pulledSchemas: 1 })
    expect(world.repair.caughtUp).toBe(true)
    expect(world.repair.missingFrames).toBe(0)
    expect(world.repair.progress()).toBeUndefined()
    for await (const { ingestUs } of world.mine.store.read(there[0]!.laneKey, 1, 1)) {
      expect(ingestUs).toBe(77)
    }
  })

  test('later, a frame is pulled only when it is missing in two looks running', async () => {
    await using world = new World()
    await world.look()
    const there = frames(1, 3)
    await world.stores[1]!.hold(there)
    await world.look()
    expect(world.heldAt(0, there[0]!)).toEqual([])
    expect(world.repair.missingFrames).toBe(3)
    // One arrives by itself, another is new at the other store.
    await world.mine.hold(there.slice(0, 1))
    await world.stores[1]!.hold(frames(4, 4))
    await world.look()
    expect(world.heldAt(0, there[0]!)).toEqual([1, 3])
    await world.look()
    expect(world.heldAt(0, there[0]!)).toEqual([1, 4])
  })

  test('only shards owned are pulled, and of others what was damaged here', async () => {
    await using world = new World({ ownedShards: () => [] })
    const there = frames(1, 4)
    await world.stores[1]!.hold(there)
    await world.mine.hold(there.slice(0, 2))
    world.mine.store.spoil(there[0]!.laneKey, 2)
    for await (const _ of world.mine.store.read(there[0]!.laneKey, 1, 4)) void _
    expect(world.mine.store.damaged()).toHaveLength(1)
    await world.look()
    expect(world.heldAt(0, there[0]!)).toEqual([1, 2])
    expect(world.mine.store.damaged()).toHaveLength(0)
  })

  test('a schema damaged here is fetched again, though no frame needs it', async () => {
    await using world = new World({ stores: 3 })
    const unknown = '0123456789abcdef' as SchemaId
    world.damagedSchemas.push(unknown, schema.id)
    await world.look()
    expect([...world.schemas]).toEqual([schema.id])
    expect(world.repair.counters.pulledSchemas).toBe(1)
  })

  test('hinted copies go home: an owner that returns pulls from whoever holds', async () => {
    await using world = new World({ stores: 3 })
    const there = frames(1, 6)
    // The third owns nothing; it took these while the first was away, and the second was too.
    await world.stores[2]!.hold(there.slice(2))
    await world.stores[1]!.hold(there.slice(0, 4))
    await world.look()
    expect(world.heldAt(0, there[0]!)).toEqual([1, 6])
    expect(world.repair.counters.pulledFrames).toBe(6)
    // The copies stay where they are, until retention.
    expect(world.heldAt(2, there[0]!)).toEqual([3, 6])
  })

  test('bytes that are no frame, or not the one asked for, are not kept', async () => {
    await using world = new World()
    const there = frames(1, 3)
    await world.stores[1]!.hold(there)
    const honest = world.connect(1)
    world.connect = () => ({
      ...honest,
      async *frames() {
        const spoilt = Buffer.from(there[0]!.bytes)
        spoilt[70]! ^= 1
        yield [
          { ingestUs: 1, bytes: spoilt },
          { ingestUs: 1, bytes: frames(1, 1, 'VH2')[0]!.bytes },
          { ingestUs: 1, bytes: there[2]!.bytes },
        ]
        yield [{ ingestUs: 1, bytes: there[2]!.bytes }]
        return true
      },
    })
    await world.look()
    expect(world.heldAt(0, there[0]!)).toEqual([3, 3])
    expect(world.repair.counters.rejectedFrames).toBeGreaterThanOrEqual(2)
    expect(world.repair.caughtUp).toBe(false)
  })

  test('a store that refuses ends the look, and one that cannot be reached does not count', async () => {
    await using refusing = new World()
    await refusing.stores[1]!.hold(frames(1, 3))
    await refusing.writer.close()
    await refusing.look()
    expect(refusing.repair.counters).toMatchObject({ refusedFrames: 1, pulledFrames: 0 })
    expect(refusing.repair.caughtUp).toBe(false)

    const errors: unknown[] = []
    await using alone = new World({ onError: (error) => errors.push(error) })
    alone.stores[1]!.isDown = true
    await alone.look()
    expect(alone.repair.caughtUp).toBe(false)
    expect(errors).toHaveLength(1)
  })
})

test('what comes by itself meanwhile does not keep a store from having caught up', async () => {
  await using world = new World()
  await world.stores[1]!.hold(frames(1, 3))
  world.stores[1]!.isDown = true
  await world.look()
  // It answers now: what it holds is missing at once, not only at the look after.
  world.stores[1]!.isDown = false
  const peer = world.connect(1)
  world.connect = () => ({
    ...peer,
    async *frames(request, signal) {
      await world.stores[1]!.hold(frames(4, 5))
      return yield* peer.frames(request, signal)
    },
  })
  await world.look()
  expect(world.heldAt(0, frames(1, 1)[0]!)).toEqual([1, 3])
  expect(world.repair.caughtUp).toBe(true)
  await world.look()
  expect(world.repair.counters.pulledFrames).toBe(3)
})

test('before a store has joined it may not know of all members: it has not caught up', async () => {
  let isMember = false
  await using world = new World({ stores: 1, isMember: () => isMember })
  await world.look()
  expect(world.repair.caughtUp).toBe(false)
  isMember = true
  await world.look()
  expect(world.repair.caughtUp).toBe(true)
})

describe('what travels', () => {
  test('equal stores exchange fingerprints only; after a change, the lanes that changed', async () => {
    await using world = new World()
    const sources = Array.from({ length: 200 }, (_, i) => `VH${i}`)
    const there = sources.flatMap((source) => frames(1, 3, source))
    await world.stores[1]!.hold(there)
    expect(await world.look()).toBe(200)
    expect(await world.look()).toBe(0)
    await world.stores[1]!.hold(frames(4, 4, 'VH7'))
    await world.mine.hold(frames(4, 4, 'VH8'))
    // That of the first is news, and that of the second is not: both shards differ.
    expect(await world.look()).toBe(1)
    expect(await world.look()).toBe(0)
    expect(world.heldAt(0, frames(1, 1, 'VH7')[0]!)).toEqual([1, 4])
  })

  test('a store that was restarted is asked for everything of what differs', async () => {
    await using world = new World()
    await world.stores[1]!.hold(frames(1, 3))
    await world.look()
    const peer = world.connect(1)
    const lives: (string | undefined)[] = []
    world.connect = () => ({
      ...peer,
      differences: async (request, signal) => {
        lives.push(request.life)
        const answer = await peer.differences({ ...request, life: 'before' }, signal)
        return { ...answer, life: 'after' }
      },
    })
    await world.mine.hold(frames(4, 4))
    expect(await world.look()).toBe(1)
    expect(await world.look()).toBe(1)
    expect(lives).toEqual(['a', 'after'])
  })
})

describe('what is gone for good', () => {
  const [first] = frames(1, 1)
  const { laneKey } = first!

  test('a run trimmed here is never pulled', async () => {
    await using world = new World()
    await world.stores[1]!.hold(frames(1, 6), NOW_US)
    await world.mine.hold(frames(1, 4), NOW_US)
    world.mine.store.trim(laneKey, new IntervalSet([1, 3]))
    await world.look()
    expect(world.heldAt(0, first!)).toEqual([4, 6])
    expect(world.repair.missingFrames).toBe(0)
    expect(world.repair.caughtUp).toBe(true)
  })

  test('a wiped store learns what was trimmed and skipped, and then both are equal', async () => {
    await using world = new World()
    const name = { source: 'VH1', epoch: epochOf(1), sequence: 7 }
    const skip = skipFrame(name, [[5, 6, 1]])
    await world.stores[1]!.hold([...frames(1, 4), skip], NOW_US)
    await world.stores[1]!.hold(frames(8, 9), NOW_US)
    world.stores[1]!.store.trim(laneKey, new IntervalSet([1, 3, 7, 7]))
    await world.look()
    const lane = world.mine.store.lane(laneKey)!
    expect(lane.held.toRuns()).toEqual([4, 4, 8, 9])
    expect(lane.trimmed.toRuns()).toEqual([1, 3, 7, 7])
    expect(lane.skipped.toRuns()).toEqual([5, 6])
    expect(await world.look()).toBe(0)
    expect(world.answers[0]!.shards).toEqual([])
  })

  test('a run trimmed at another store and held here stays; held at a third, it is pulled', async () => {
    await using world = new World({ stores: 3 })
    for (const { store } of world.stores) await store.append([])
    await world.mine.hold(frames(1, 2), NOW_US)
    await world.stores[1]!.hold(frames(1, 4), NOW_US)
    world.stores[1]!.store.trim(laneKey, new IntervalSet([1, 4]))
    await world.stores[2]!.hold(frames(3, 3), NOW_US)
    await world.look()
    const lane = world.mine.store.lane(laneKey)!
    expect(lane.held.toRuns()).toEqual([1, 3])
    expect(lane.trimmed.toRuns()).toEqual([4, 4])
  })

  test('a lane of which nothing is left for a week is not learned again', async () => {
    await using world = new World()
    await world.stores[1]!.hold(frames(1, 4), NOW_US - 8 * 86_400_000_000)
    world.stores[1]!.store.trim(laneKey, new IntervalSet([1, 4]))
    await world.look()
    expect(world.mine.store.lane(laneKey)).toBeUndefined()
  })

  test('what both have forgotten since is not missed for ever', async () => {
    await using world = new World()
    await world.stores[1]!.hold(frames(1, 4))
    await world.look()
    for (const { store } of world.stores) store.forget(laneKey)
    // Of the same shard, so that what is known of it counts again.
    const air = (sequence: number): Frame =>
      dataFrame(
        { source: 'VH1', epoch: epochOf(1), sequence },
        [{ timeUs: T0, fields: {} }],
        'vehicle.air',
      )
    await world.stores[1]!.hold([air(1)])
    await world.look()
    expect(world.repair.missingFrames).toBe(5)
    await world.look()
    await world.stores[1]!.hold([air(2)])
    await world.look()
    expect(world.repair.missingFrames).toBe(1)
    expect(world.mine.store.lane(laneKey)).toBeUndefined()
  })

  test('a store learns of the shards it owns only', async () => {
    const owned = shardOf('VH1')
    await using world = new World({ ownedShards: () => [owned] })
    const other = frames(1, 2, 'VH3')
    expect(shardOf('VH3')).not.toBe(owned)
    for (const there of [frames(1, 2), other]) {
      await world.stores[1]!.hold(there, NOW_US)
      world.stores[1]!.store.trim(there[0]!.laneKey, new IntervalSet([1, 2]))
    }
    await world.look()
    expect(world.mine.store.lane(laneKey)?.trimmed.toRuns()).toEqual([1, 2])
    expect(world.mine.store.lane(other[0]!.laneKey)).toBeUndefined()
  })
})
