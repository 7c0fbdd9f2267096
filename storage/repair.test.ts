import { describe, expect, test } from 'vitest'
import { SHARDS, systemClock, type Frame, type Timer } from '../mesh/index.ts'
import type { RepairPeer } from './query/peer.ts'
import { dataFrame, epochOf, schema, storeId, T0, TestStore } from './query/test-mesh.ts'
import { Repair, type RepairOptions } from './repair.ts'

const MEMBERS = [1, 2].map((n) => {
  return { storeId: storeId(n), state: 'member', http: `http://${n - 1}` } as const
})
const ALL_SHARDS = Array.from({ length: SHARDS }, (_, i) => i)

/** Two stores; the first repairs itself from the second, look by look. */
class Pair {
  readonly stores = MEMBERS.map(({ storeId }) => new TestStore(storeId, () => MEMBERS))
  readonly repair: Repair
  readonly schemas = new Set<string>()
  asked = 0
  private nextLook: (() => void) | undefined

  constructor(options: Partial<RepairOptions> = {}) {
    const [mine] = this.stores
    this.repair = new Repair({
      store: mine!.store,
      storeId: mine!.id,
      members: () => MEMBERS,
      writeQuorum: 1,
      ownedShards: () => ALL_SHARDS,
      connect: () => this.other(),
      keep: async ({ frame, ingestUs }) => {
        await mine!.hold([frame], ingestUs)
        return 'stored'
      },
      hasSchema: (id) => this.schemas.has(id),
      keepSchema: async ({ id }) => void this.schemas.add(id),
      clock: { ...systemClock, startTimer: (ms, callback) => this.startTimer(ms, callback) },
      ...options,
    })
  }

  other(): RepairPeer {
    return this.stores[1]!.peer
  }

  /** One look, from its start to the moment the next one is planned. */
  async look(): Promise<void> {
    const planned = new Promise<void>((resolve) => (this.nextLook = resolve))
    this.repair.kick()
    await planned
  }

  heldAt(at: number, frame: Frame): number[] {
    return this.stores[at]!.store.lane(frame.laneKey)?.held.toRuns() ?? []
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
    const pair = new Pair()
    const there = frames(1, 20)
    await pair.stores[1]!.hold(there, 77)
    await pair.stores[0]!.hold(there.slice(5, 8))
    expect(pair.repair.caughtUp).toBe(false)
    await pair.look()
    expect(pair.heldAt(0, there[0]!)).toEqual([1, 20])
    expect([...pair.schemas]).toEqual([schema.id])
    expect(pair.repair.counters).toMatchObject({ pulledFrames: 17, pulledSchemas: 1 })
    expect(pair.repair.caughtUp).toBe(true)
    expect(pair.repair.missingFrames).toBe(0)
    for await (const { ingestUs } of pair.stores[0]!.store.read(there[0]!.laneKey, 1, 1)) {
      expect(ingestUs).toBe(77)
    }
    await pair.repair.stop()
  })

  test('later, a frame is pulled only when it is missing in two looks running', async () => {
    const pair = new Pair()
    await pair.look()
    const there = frames(1, 3)
    await pair.stores[1]!.hold(there)
    await pair.look()
    expect(pair.heldAt(0, there[0]!)).toEqual([])
    expect(pair.repair.missingFrames).toBe(3)
    // One arrives by itself, another is new at the other store.
    await pair.stores[0]!.hold(there.slice(0, 1))
    await pair.stores[1]!.hold(frames(4, 4))
    await pair.look()
    expect(pair.heldAt(0, there[0]!)).toEqual([1, 3])
    await pair.look()
    expect(pair.heldAt(0, there[0]!)).toEqual([1, 4])
    await pair.look()
    expect(pair.repair.counters.unchangedDigests).toBeGreaterThan(0)
    await pair.repair.stop()
  })

  test('only shards owned are pulled, and of others what was damaged here', async () => {
    const pair = new Pair({ ownedShards: () => [] })
    const there = frames(1, 4)
    await pair.stores[1]!.hold(there)
    await pair.stores[0]!.hold(there.slice(0, 2))
    pair.stores[0]!.store.spoil(there[0]!.laneKey, 2)
    for await (const _ of pair.stores[0]!.store.read(there[0]!.laneKey, 1, 4)) void _
    expect(pair.stores[0]!.store.damaged()).toHaveLength(1)
    pair.stores[0]!.frames.splice(1)
    await pair.look()
    expect(pair.heldAt(0, there[0]!)).toEqual([1, 2])
    expect(pair.stores[0]!.store.damaged()).toHaveLength(0)
    await pair.repair.stop()
  })

  test('bytes that are no frame, or not the one asked for, are not kept', async () => {
    const pair = new Pair()
    const there = frames(1, 3)
    await pair.stores[1]!.hold(there)
    pair.other = () => ({
      digest: (request) => pair.stores[1]!.peer.digest(request),
      schema: (id) => pair.stores[1]!.peer.schema(id),
      async *frames() {
        const spoilt = Buffer.from(there[0]!.bytes)
        spoilt[70]! ^= 1
        yield { ingestUs: 1, bytes: spoilt }
        yield { ingestUs: 1, bytes: frames(1, 1, 'VH2')[0]!.bytes }
        yield { ingestUs: 1, bytes: there[2]!.bytes }
        yield { ingestUs: 1, bytes: there[2]!.bytes }
        return true
      },
    })
    await pair.look()
    expect(pair.heldAt(0, there[0]!)).toEqual([3, 3])
    expect(pair.repair.counters.rejectedFrames).toBeGreaterThanOrEqual(3)
    expect(pair.repair.caughtUp).toBe(false)
    await pair.repair.stop()
  })

  test('a store that refuses ends the look, and one that cannot be reached does not count', async () => {
    const refusing = new Pair({ keep: async () => 'refused' })
    await refusing.stores[1]!.hold(frames(1, 3))
    await refusing.look()
    expect(refusing.repair.counters).toMatchObject({ refusedFrames: 3, pulledFrames: 0 })
    expect(refusing.repair.caughtUp).toBe(false)
    await refusing.repair.stop()

    const errors: unknown[] = []
    const alone = new Pair({ onError: (error) => errors.push(error) })
    alone.other = () => {
      throw new Error('connection refused')
    }
    await alone.look()
    expect(alone.repair.caughtUp).toBe(false)
    expect(errors).toHaveLength(1)
    await alone.repair.stop()
  })
})
