// Storage peers as processes that come and go: started in any order, known to a newcomer by one of
// them, wiped, removed (issue 3, "Shown by" 4; docs/delivery.md §8).
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventually } from '../mesh/conformance/eventually.ts'
import { rankStores, shardOf, IntervalSet, type StoreId } from '../mesh/index.ts'
import { openSession } from '../nodes/index.ts'
import { createMesh, SETTLE_MS, TestMesh } from './harness/mesh.ts'
import type { StoragePeer } from './harness/storage-peer.ts'

const STREAM = 'membership.test'
const SOURCES = 40

/** Publishes one sample of each source and waits until all are acknowledged. */
async function publish(mesh: TestMesh, seed: string, round: number): Promise<void> {
  await using session = await openSession(mesh.config([seed]), {})
  await using publisher = await session.publisher()
  for (let i = 0; i < SOURCES; i++) {
    const sample = { timeUs: round * 1e6 + i, fields: { round, i } }
    expect(publisher.publish(STREAM, `source-${i}`, sample)).toBe(true)
  }
  const { level, stores } = await publisher.stored()
  expect(level).toBe('synced')
  expect(new Set(stores).size).toBeGreaterThanOrEqual(2)
}

/** What somebody who knows one peer gets, in words that show what is wrong. */
async function answerThrough(
  mesh: TestMesh,
  peer: StoragePeer,
): Promise<{ complete: boolean; rows: number; members: number; reasons: readonly string[] }> {
  const { rows, coverage } = await mesh.ask({ kind: 'range', stream: STREAM }, [peer.endpoint])
  const { complete, members, reasons } = coverage
  expect(new Set(rows.map(({ source, timeUs }) => `${source} ${timeUs}`)).size).toBe(rows.length)
  return { complete, rows: rows.length, members, reasons }
}

/** Whether each frame that any of these stores holds is on all its owners among `members`. */
async function isOnOwners(
  stores: readonly StoragePeer[],
  members: readonly StoreId[],
): Promise<boolean> {
  const digests = await Promise.all(stores.map((store) => store.digest({ stream: STREAM })))
  const heldBy = new Map(digests.map(({ storeId, lanes }) => [storeId, lanes]))
  return digests
    .flatMap(({ lanes }) => lanes)
    .every(({ source, epoch, held }) =>
      rankStores(shardOf(source), members)
        .slice(0, 2)
        .every((owner) => {
          const lane = heldBy
            .get(owner)
            ?.find((one) => one.source === source && one.epoch === epoch)
          return new IntervalSet(held).minus(new IntervalSet(lane?.held ?? [])).isEmpty
        }),
    )
}

const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [2, 0, 1],
  [1, 2, 0],
  [2, 1, 0],
] as const

/** Starts three stores in this order, the seed being 0, and sees that the mesh works. */
async function startInOrder(mesh: TestMesh, order: readonly number[]): Promise<void> {
  const endpoints = await mesh.endpoints(3)
  for (const endpoint of endpoints) mesh.addStore(endpoint, [endpoints[0]!])
  for (const index of order) await mesh.stores[index]!.start()
  // By a publisher that is there before they have found each other.
  await publish(mesh, mesh.seed, 1)
  await mesh.joined()
  await publish(mesh, mesh.stores[2]!.endpoint, 2)
  // Newcomers that know one of them, and not the seed.
  for (const peer of mesh.stores.slice(1)) {
    const answer = await answerThrough(mesh, peer)
    expect({ order, ...answer }).toEqual({
      order,
      complete: true,
      rows: 2 * SOURCES,
      members: 3,
      reasons: [],
    })
  }
}

// Two at a time: as many as there are cores.
test.each([ORDERS.slice(0, 2), ORDERS.slice(2, 4), ORDERS.slice(4)])(
  'started in the orders %j and %j (0 is the seed) - they find each other and acknowledge',
  async (...orders) => {
    await Promise.all(
      orders.map(async (order) => {
        await using mesh = new TestMesh()
        await startInOrder(mesh, order)
      }),
    )
  },
  60_000,
)

test('stores that start at the same moment all become members', async () => {
  // They wait for each other's word, and there are moments in which it could be overheard.
  await Promise.all(
    [1, 2].map(async () => {
      await using mesh = new TestMesh()
      const endpoints = await mesh.endpoints(3)
      for (const endpoint of endpoints) mesh.addStore(endpoint, [endpoints[0]!])
      await Promise.all(mesh.stores.map((store) => store.start()))
      await mesh.joined()
    }),
  )
}, 60_000)

test.concurrent('a store that lost its disk returns as another store, is refilled, and the old one can be removed', async ({
  onTestFinished,
}) => {
  const mesh = createMesh(onTestFinished)
  await mesh.startStores(3)
  const [seed, second, wiped] = mesh.stores as [StoragePeer, StoragePeer, StoragePeer]
  await publish(mesh, mesh.seed, 1)
  const before = await wiped.storeId()
  await wiped.kill()
  rmSync(join(mesh.root, wiped.name), { recursive: true })
  await wiped.start()
  const after = await wiped.storeId()
  expect(after).not.toBe(before)
  await mesh.joined()
  await publish(mesh, second.endpoint, 2)

  // The lost disk is still a member: three of four must answer, and the new one only counts refilled.
  await wiped.caughtUp(SETTLE_MS)
  await eventually(async () => (await answerThrough(mesh, wiped)).complete, {
    what: 'the mesh is complete without the lost disk',
    deadlineMs: SETTLE_MS,
    everyMs: 50,
  })
  expect(await answerThrough(mesh, seed)).toMatchObject({ members: 4, rows: 2 * SOURCES })

  const { code } = await mesh.skein(['peers', 'remove', before], [second.endpoint])
  expect(code).toBe(0)
  await eventually(async () => (await answerThrough(mesh, seed)).members === 3, {
    what: 'the lost disk is no member',
    deadlineMs: SETTLE_MS,
    everyMs: 100,
  })
  const members = await Promise.all(mesh.stores.map((store) => store.storeId()))
  expect(await isOnOwners(mesh.stores, members)).toBe(true)
  expect(await answerThrough(mesh, wiped)).toMatchObject({ complete: true, rows: 2 * SOURCES })
}, 90_000)

test.concurrent('a dead store is removed - its share goes to the others, and one more may be away', async ({
  onTestFinished,
}) => {
  const mesh = createMesh(onTestFinished)
  await mesh.startStores(4)
  const [seed, second, third, dead] = mesh.stores as [
    ...[StoragePeer, StoragePeer, StoragePeer, StoragePeer],
  ]
  await publish(mesh, mesh.seed, 1)
  const deadId = await dead.storeId()
  await dead.kill()
  await publish(mesh, third.endpoint, 2)
  expect(await answerThrough(mesh, second)).toMatchObject({ complete: true, members: 4 })

  // Of four, two away may have been the two that held a frame.
  await third.kill()
  expect(await answerThrough(mesh, second)).toMatchObject({ complete: false, members: 4 })
  await third.start()
  await third.caughtUp(SETTLE_MS)
  expect(await answerThrough(mesh, second)).toMatchObject({ complete: true, members: 4 })

  const { code, stderr } = await mesh.skein(
    ['peers', 'remove', deadId.slice(0, 8)],
    [third.endpoint],
  )
  expect({ code, stderr }).toMatchObject({ code: 0 })
  await eventually(async () => (await answerThrough(mesh, second)).members === 3, {
    what: 'the dead store is removed',
    deadlineMs: SETTLE_MS,
    everyMs: 100,
  })
  // Removed only once all that it had is on two of those that remain.
  const remaining = [seed, second, third]
  const members = await Promise.all(remaining.map((store) => store.storeId()))
  expect(await isOnOwners(remaining, members)).toBe(true)

  await publish(mesh, second.endpoint, 3)
  await third.kill()
  expect(await answerThrough(mesh, second)).toEqual({
    complete: true,
    rows: 3 * SOURCES,
    members: 3,
    reasons: [],
  })
  // Its disk is not taken back as if nothing had happened: it acknowledges and counts no more.
  await dead.start()
  await eventually(async () => !(await dead.isReady()), {
    what: 'the removed store refuses',
    deadlineMs: SETTLE_MS,
    everyMs: 50,
  })
  expect((await answerThrough(mesh, second)).members).toBe(3)
}, 120_000)
