// kill -9 of storage peers while a fleet publishes (issue 3, "Shown by" 3). What was acknowledged is
// known sample by sample from the publisher's receipts; every answer that calls itself complete is
// held to all of them that were there before it was asked for.
import { expect, test } from 'vitest'
import { eventually } from '../mesh/conformance/eventually.ts'
import { shardOf } from '../mesh/index.ts'
import { FLEET_STREAM } from '../sim/index.ts'
import type { Row } from '../storage/index.ts'
import { lackingFrames, missingFrames, repeatedSamples } from './harness/compare.ts'
import { Fleet } from './harness/fleet.ts'
import { ownedShards, createMesh, type Asked, type TestMesh } from './harness/mesh.ts'
import type { StoragePeer } from './harness/storage-peer.ts'

const VEHICLES = 200
const RATE = 5
/** A killed process breaks its links, so nobody waits the 3 s after which silence is suspect. */
const PAUSE_MS_MAX = 3_000

/** Everything the fleet published, asked by somebody who knows one peer only. */
async function askAll(mesh: TestMesh, fleet: Fleet, through: StoragePeer): Promise<Asked<Row>> {
  const acked = fleet.receipts.slice()
  const query = { kind: 'range', stream: FLEET_STREAM, fields: ['speed'] }
  const answer = await mesh.ask(query, [through.endpoint])
  expect(repeatedSamples(answer.rows)).toEqual([])
  // The promise of the word, whatever the moment.
  const missing = answer.coverage.complete ? missingFrames(acked, answer.rows) : []
  expect(missing).toEqual([])
  return answer
}

/** Frames under way make an answer incomplete for a moment: asks until it is complete. */
async function askComplete(mesh: TestMesh, fleet: Fleet, through: StoragePeer): Promise<void> {
  let reasons: readonly string[] = []
  await eventually(
    async () => {
      const { coverage } = await askAll(mesh, fleet, through)
      reasons = coverage.reasons
      return coverage.complete
    },
    { what: 'an answer is complete', deadlineMs: 20_000, everyMs: 50 },
  ).catch((error: Error) => {
    throw new Error(`${error.message}: ${reasons.join('; ')}`)
  })
}

test('no acknowledged sample is missing while a store is killed, away, and back', async ({
  onTestFinished,
}) => {
  const mesh = createMesh(onTestFinished)
  await mesh.startStores(3)
  const [seed, second, third] = mesh.stores as [StoragePeer, StoragePeer, StoragePeer]
  const members = await Promise.all(mesh.stores.map((store) => store.storeId()))
  const fleet = new Fleet(mesh, { vehicles: VEHICLES, samplesPerSecond: RATE })
  await fleet.ackedMore(2 * VEHICLES * RATE)
  await askComplete(mesh, fleet, second)

  // The seed of all, so that whoever comes now finds the mesh without it.
  const victimShards = ownedShards(await seed.storeId(), members)
  await seed.kill()
  const killedMs = Date.now()
  expect(seed.process.isRunning).toBe(false)
  await expect(seed.digest()).rejects.toMatchObject({ code: 'QUERY_NO_PEER' })
  await askComplete(mesh, fleet, third)
  await fleet.ackedMore(4 * VEHICLES * RATE)
  await askComplete(mesh, fleet, second)
  const backMs = Date.now()

  await seed.start()
  await seed.caughtUp(30_000)
  await askComplete(mesh, fleet, seed)
  await fleet.ackedMore(VEHICLES * RATE)
  await eventually(
    async () => {
      const acked = fleet.receipts.filter(({ atMs }) => atMs < backMs)
      return (await lackingFrames(seed, members, acked, FLEET_STREAM)) === 0
    },
    { what: 'the store that was away holds what it owns', deadlineMs: 30_000, everyMs: 100 },
  )

  const ofVictim = (source: string): boolean => victimShards.has(shardOf(source))
  const pauses = {
    all: fleet.longestPauseMs(killedMs, backMs),
    ofVictim: fleet.longestPauseMs(killedMs, backMs, ({ source }) => ofVictim(source)),
    ofOthers: fleet.longestPauseMs(killedMs, backMs, ({ source }) => !ofVictim(source)),
  }
  console.log(
    `one of three stores away for ${backMs - killedMs} ms: longest pause of acks ${pauses.all} ms; ` +
      `of sources it owned ${pauses.ofVictim} ms, of others ${pauses.ofOthers} ms`,
  )
  expect(pauses.ofVictim).toBeLessThan(PAUSE_MS_MAX)
  expect(pauses.ofOthers).toBeLessThan(PAUSE_MS_MAX)

  // Two of three: what is acknowledged may be on those two alone, and nobody may call that complete.
  await Promise.all([second.kill(), third.kill()])
  const alone = await askAll(mesh, fleet, seed)
  expect(alone.coverage).toMatchObject({ complete: false, members: 3, answered: 1, needed: 2 })
  // Nor is anything acknowledged by the one that is left: it waits, and all of it.
  await fleet.pendingMore(VEHICLES * RATE)
  const acked = fleet.acked
  await fleet.pendingMore(VEHICLES * RATE)
  expect(fleet.acked).toBe(acked)
  await second.start()
  await askComplete(mesh, fleet, second)
  await third.start()
  await fleet.ackedMore(VEHICLES * RATE)
  await fleet.stop()

  await Promise.all(mesh.stores.map((store) => store.caughtUp(30_000)))
  await askComplete(mesh, fleet, third)
  const { rows } = await askAll(mesh, fleet, second)
  expect(fleet.status).toMatchObject({ refused: 0, pendingSamples: 0 })
  expect(fleet.acked).toBe(fleet.status.published)
  const onOne = fleet.receipts.filter(({ stores }) => new Set(stores).size < 2)
  expect(onOne).toEqual([])
  expect(rows).toHaveLength(fleet.status.published)
  for (const store of mesh.stores) {
    await eventually(
      async () => (await lackingFrames(store, members, fleet.receipts, FLEET_STREAM)) === 0,
      { what: `${store.name} holds all it owns`, deadlineMs: 30_000, everyMs: 100 },
    )
  }
}, 180_000)
