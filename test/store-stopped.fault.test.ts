// One of three stores stopped with SIGSTOP for 60 s under load (issue 3, "Shown by" 4): its sockets
// stay open and take nothing, which is worse than a death. The publisher must neither grow nor wait,
// and the store must come back as if nothing had been.
import { expect, test } from 'vitest'
import { eventually } from '../mesh/conformance/eventually.ts'
import { shardOf } from '../mesh/index.ts'
import { LINK_QUEUE_BYTES } from '../mesh/links/hub.ts'
import { FLEET_STREAM } from '../sim/index.ts'
import { lackingFrames, missingFrames, repeatedSamples } from './harness/compare.ts'
import { Fleet, type ReceiptMessage } from './harness/fleet.ts'
import { ownedShards, createMesh } from './harness/mesh.ts'
import type { StoragePeer } from './harness/storage-peer.ts'

const VEHICLES = 300
const RATE = 10
const STOPPED_S = 60
const MIB = 1024 * 1024
const OUTBOX_BYTES = 16 * MIB
/** The publisher's heap, so that V8 has to collect what it would otherwise let pile up. */
const HEAP_MIB = 128
/** Node.js and what it has loaded, V8's new space, and the buffers of sockets; 160 MiB at its start. */
const PROGRAM_BYTES = 192 * MIB
/** 3 s of silence make a store suspect; then the next in the ranking gets its frames at once. */
const TAKEOVER_MS_MAX = 10_000
/** A frame whose owners both run waits for two disks, on a machine that has other things to do. */
const UNDISTURBED_MS_MAX = 8_000

const mib = (bytes: number): number => Math.round(bytes / MIB)

/** From a sample's planned time to its receipt, the longest, ms. */
function longestMs(receipts: readonly ReceiptMessage[]): number {
  return receipts.reduce(
    (longest, { atMs, timesUs }) => Math.max(longest, atMs - Math.min(...timesUs) / 1000),
    0,
  )
}

test(`a store stopped for ${STOPPED_S} s - bounded memory, the others acknowledge, it catches up`, async ({
  onTestFinished,
}) => {
  const mesh = createMesh(onTestFinished)
  await mesh.startStores(3)
  const members = await Promise.all(mesh.stores.map((store) => store.storeId()))
  const [first, victim] = mesh.stores as [StoragePeer, StoragePeer]
  const shards = ownedShards(await victim.storeId(), members)
  const settings = [`publisher.outbox.memory=${OUTBOX_BYTES}B`]
  const nodeFlags = [`--max-old-space-size=${HEAP_MIB}`]
  const fleet = new Fleet(mesh, { vehicles: VEHICLES, samplesPerSecond: RATE, settings, nodeFlags })
  await fleet.ackedMore(3 * VEHICLES * RATE)
  const heldBefore = await fleet.heldBytes()

  await victim.process.pause()
  const stoppedMs = Date.now()
  await fleet.ackedMore(STOPPED_S * VEHICLES * RATE, 2 * STOPPED_S * 1000)
  const stoppedForMs = Date.now() - stoppedMs
  expect(stoppedForMs).toBeGreaterThan(STOPPED_S * 900)
  const heldAfter = await fleet.heldBytes()

  // The moments in which it was stopped and found out can be read without it.
  const from = (stoppedMs - 1_000) * 1000
  const to = (stoppedMs + 2 * TAKEOVER_MS_MAX) * 1000
  const inRange = (receipt: ReceiptMessage): boolean =>
    receipt.timesUs.every((timeUs) => timeUs >= from && timeUs < to)
  const query = { kind: 'range', stream: FLEET_STREAM, fields: ['speed'] }
  const meanwhile = await eventually(
    async () => {
      const answer = await mesh.ask({ ...query, from, to }, [first.endpoint])
      return answer.coverage.complete && answer
    },
    { what: 'an answer without the stopped store is complete', deadlineMs: 30_000 },
  )
  expect(meanwhile.coverage).toMatchObject({ members: 3, answered: 2, needed: 2 })
  expect(missingFrames(fleet.receipts.filter(inRange), meanwhile.rows)).toEqual([])

  victim.process.resume()
  const since = fleet.receipts.filter(
    ({ atMs }) => atMs > stoppedMs && atMs < stoppedMs + stoppedForMs,
  )
  const ofVictim = since.filter(({ source }) => shards.has(shardOf(source)))
  const ofOthers = since.filter(({ source }) => !shards.has(shardOf(source)))
  const statuses = fleet.statuses.filter(({ atMs }) => atMs > stoppedMs)
  const rssMax = Math.max(...statuses.map(({ rssBytes }) => rssBytes))
  const outboxMax = Math.max(...statuses.map(({ outboxBytes }) => outboxBytes))
  console.log(
    `stopped for ${stoppedForMs} ms at ${Math.round((since.length * 1000) / stoppedForMs)} frames/s: ` +
      `longest ack ${Math.round(longestMs(ofVictim))} ms of sources it owned, ` +
      `${Math.round(longestMs(ofOthers))} ms of others; outbox at most ${outboxMax} bytes of ` +
      `${OUTBOX_BYTES}; held ${mib(heldBefore)} MiB before and ${mib(heldAfter)} after, resident at ` +
      `most ${mib(rssMax)}`,
  )
  expect(ofVictim.length).toBeGreaterThan(0)
  expect(ofOthers.length).toBeGreaterThan(0)
  expect(longestMs(ofVictim)).toBeLessThan(TAKEOVER_MS_MAX)
  expect(longestMs(ofOthers)).toBeLessThan(UNDISTURBED_MS_MAX)
  expect(outboxMax).toBeLessThanOrEqual(OUTBOX_BYTES)
  // Once the store is suspect nothing waits for it any more.
  const settled = statuses.filter(({ atMs }) => atMs > stoppedMs + 2 * TAKEOVER_MS_MAX)
  expect(Math.max(...settled.map(({ outboxBytes }) => outboxBytes))).toBeLessThan(2 * MIB)
  // What may grow: the outbox to its limit. What is acknowledged leaves nothing behind.
  expect(heldAfter).toBeLessThan(heldBefore + OUTBOX_BYTES)
  expect(rssMax).toBeLessThan(PROGRAM_BYTES + HEAP_MIB * MIB + OUTBOX_BYTES + LINK_QUEUE_BYTES)

  await victim.caughtUp(30_000)
  await fleet.ackedMore(VEHICLES * RATE)
  await fleet.stop()
  expect(fleet.status).toMatchObject({ refused: 0, pendingSamples: 0 })
  await eventually(
    async () => (await lackingFrames(victim, members, fleet.receipts, FLEET_STREAM)) === 0,
    { what: 'the store that was stopped holds all it owns', deadlineMs: 60_000, everyMs: 200 },
  )
  const { rows, coverage } = await mesh.ask(query, [victim.endpoint])
  expect(coverage).toMatchObject({ complete: true, members: 3 })
  expect(rows).toHaveLength(fleet.status.published)
  expect(repeatedSamples(rows)).toEqual([])
  expect(missingFrames(fleet.receipts, rows)).toEqual([])
}, 240_000)
