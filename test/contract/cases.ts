// The faults of the contract suite. Each case makes one happen to a running pipeline, asserts that it did,
// and leaves the pipeline running for Contract.check().
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import { eventually } from '../../mesh/conformance/eventually.ts'
import { processNetwork, shardOf, SHARDS, type TransportName } from '../../mesh/index.ts'
import type { LocalStorage } from '../harness/local-storage.ts'
import { Namespace } from '../harness/namespace.ts'
import { Fleet } from '../harness/fleet.ts'
import { needsServer, openNetwork, type TestNetwork } from '../harness/network.ts'
import { ownedShards, type TestMesh } from '../harness/mesh.ts'
import type { StoragePeer } from '../harness/storage-peer.ts'
import { Contract, RATE, VEHICLES } from './contract.ts'
import { Echo } from './echo.ts'

export interface CaseContext {
  readonly network: TestNetwork
  /** A mesh on that network, or on another one, ended with the test. */
  readonly createMesh: (network?: TestNetwork) => TestMesh
  /** Ended with the test, last made first. */
  readonly use: <R extends AsyncDisposable>(resource: R) => R
}

export interface ContractCase {
  readonly title: string
  /** Why this transport has no such thing; undefined when it has. */
  readonly skip?: (transport: TransportName) => string | undefined
  /** Cuts a wire between processes: network namespaces. On memory there is none to cut. */
  readonly needsWire?: boolean
  readonly run: (context: CaseContext) => Promise<void>
}

const PARTITION_MS = 10_000
const STALL_MS = 10_000
const OFFLINE_MS = 30_000
const OFFLINE_SAMPLES = 100_000
const SWITCH_SAMPLES = 20_000

const started = async ({ createMesh }: CaseContext): Promise<Contract> => {
  const contract = new Contract(createMesh())
  await contract.start()
  return contract
}

const steady: ContractCase = {
  title: 'nothing happens: stored = accepted, each once, in order, complete',
  async run(context) {
    const contract = await started(context)
    await contract.goOn()
    await contract.check()
    expect(contract.live.missed).toBe(0)
  },
}

const storeKilled: ContractCase = {
  title: 'a storage peer is killed (kill -9) and restarted',
  async run(context) {
    const contract = await started(context)
    const [, victim] = contract.mesh.stores as [StoragePeer, StoragePeer]
    await victim.kill()
    expect(victim.process.isRunning).toBe(false)
    await contract.goOn()
    await victim.start()
    await victim.caughtUp(60_000)
    await contract.goOn()
    await contract.check()
  },
}

const storeWiped: ContractCase = {
  title: 'a storage peer is killed, its disk wiped: it returns as another store',
  async run(context) {
    const contract = await started(context)
    const [, , victim] = contract.mesh.stores as [StoragePeer, StoragePeer, StoragePeer]
    const before = await victim.storeId()
    await victim.kill()
    victim.wipe()
    contract.gone.add(before)
    await contract.goOn()
    await victim.start()
    expect(await victim.storeId()).not.toBe(before)
    await victim.caughtUp(60_000)
    await contract.goOn()
    await contract.check()
  },
}

const serverKilled: ContractCase = {
  title: 'the broker or bridge is killed (kill -9) and restarted mid-stream',
  skip: (transport) => (needsServer(transport) ? undefined : 'no broker and no bridge'),
  async run({ createMesh, use }) {
    const network = await openNetwork(createMesh().network.transport)
    use({ [Symbol.asyncDispose]: () => network.close() })
    const contract = new Contract(createMesh(network))
    await contract.start()
    const { fleet } = contract
    const server = network.server!
    const { pid } = server
    await server.kill()
    // Nothing gets through: what is published waits in the outbox.
    await fleet.pendingMore(VEHICLES * RATE)
    const { acked } = fleet
    await fleet.pendingMore(VEHICLES * RATE)
    expect(fleet.acked).toBe(acked)
    await server.restart()
    expect(server.pid).not.toBe(pid)
    await contract.goOn()
    await contract.check()
  },
}

const partition: ContractCase = {
  title: `an owner is cut off for ${PARTITION_MS / 1000} s`,
  needsWire: true,
  run: ({ network, createMesh, use }) =>
    network.transport === 'memory'
      ? partitionInMemory(createMesh())
      : partitionByWire(network.transport, createMesh, use),
}

async function partitionInMemory(mesh: TestMesh): Promise<void> {
  const contract = new Contract(mesh)
  await contract.start()
  const memory = processNetwork()
  const victim = mesh.stores[1]!
  const own = (victim.process as LocalStorage).peerId
  const others = memory.peers().filter((id) => id !== own)
  const { partitioned } = memory.counters
  for (const other of others) memory.partition(own, other)
  await delay(PARTITION_MS)
  expect(memory.counters.partitioned).toBeGreaterThan(partitioned)
  await contract.goOn()
  for (const other of others) memory.heal(own, other)
  await contract.goOn()
  await contract.check()
}

async function partitionByWire(
  transport: TransportName,
  createMesh: CaseContext['createMesh'],
  use: CaseContext['use'],
): Promise<void> {
  const space = use(Namespace.create())
  const network = await openNetwork(transport, space.hostAddress)
  use({ [Symbol.asyncDispose]: () => network.close() })
  const mesh = createMesh(network)
  const contract = new Contract(mesh)
  await startWithOneBehind(mesh, space)
  await contract.startClients()
  const victim = mesh.stores[2]!
  space.cut()
  await expect(victim.digest()).rejects.toBeInstanceOf(Error)
  await delay(PARTITION_MS)
  expect(victim.process.isRunning).toBe(true)
  await contract.goOn()
  space.mend()
  await victim.caughtUp(60_000)
  await contract.goOn()
  await contract.check()
}

/** Three stores, the third on the other side of the wire. */
async function startWithOneBehind(mesh: TestMesh, space: Namespace): Promise<void> {
  const [first, second, far] = await mesh.endpoints(3)
  const farEndpoint = far!.replace(space.hostAddress, space.address)
  mesh.addStore(first!, [first!])
  mesh.addStore(second!, [first!])
  mesh.addStore(farEndpoint, [first!], space)
  await mesh.stores[0]!.start()
  await Promise.all(mesh.stores.slice(1).map((store) => store.start()))
  await mesh.joined()
}

const subscriberStalls: ContractCase = {
  title: `a live subscriber stops reading for ${STALL_MS / 1000} s`,
  async run(context) {
    const contract = await started(context)
    contract.mayMissLive = true
    const { live, fleet } = contract
    await live.program.pause()
    const { samples } = live
    const { acked } = fleet
    await delay(STALL_MS)
    // It stood still, and held up nobody.
    expect(live.samples - samples).toBeLessThan(VEHICLES * RATE)
    expect(fleet.acked - acked).toBeGreaterThan((VEHICLES * RATE * STALL_MS) / 2000)
    live.program.resume()
    await live.gotMore(2 * VEHICLES * RATE)
    await contract.check()
  },
}

const publisherOffline: ContractCase = {
  title: `a publisher is offline for ${OFFLINE_MS / 1000} s with ${OFFLINE_SAMPLES} samples in its outbox`,
  needsWire: true,
  async run({ network: { transport }, createMesh, use }) {
    const space = transport === 'memory' ? undefined : use(Namespace.create())
    const network = await openNetwork(transport, space?.hostAddress)
    use({ [Symbol.asyncDispose]: () => network.close() })
    const contract = new Contract(createMesh(network))
    await contract.start({ ...(space && { space }), samplesPerSecond: 120 })
    contract.mayMissLive = true
    const { fleet } = contract
    const atMs = performance.now()
    const cutOff = space === undefined ? cutInMemory() : cutWire(space)
    await eventually(
      () => fleet.status.pendingSamples >= OFFLINE_SAMPLES || performance.now() - atMs > 120_000,
      {
        what: 'the outbox to fill',
        deadlineMs: 150_000,
      },
    )
    await delay(Math.max(0, OFFLINE_MS - (performance.now() - atMs)))
    const { pendingSamples } = fleet.status
    expect(pendingSamples).toBeGreaterThanOrEqual(OFFLINE_SAMPLES)
    fleet.park()
    cutOff.mend()
    await fleet.ackedMore(pendingSamples, 120_000)
    await contract.check()
  },
}

interface CutOff {
  mend(): void
}

function cutWire(space: Namespace): CutOff {
  space.cut()
  return space
}

/** Everybody from everybody. */
function cutInMemory(): CutOff {
  const memory = processNetwork()
  const ids = memory.peers()
  for (const a of ids) for (const b of ids) if (a !== b) memory.partition(a, b)
  return { mend: () => memory.heal() }
}

const repeatedAndReordered: ContractCase = {
  title: 'messages are repeated and arrive out of order',
  async run(context) {
    const contract = await started(context)
    const echo = context.use(await Echo.open(contract.mesh))
    const memory = context.network.transport === 'memory' ? processNetwork() : undefined
    if (memory !== undefined) {
      Object.assign(memory.faults, { duplication: 0.2, reordering: 0.2, delayMsMax: 20 })
    }
    await echo.sentAgain(300)
    await eventually(
      async () => {
        const repeats = contract.mesh.stores.map((store) =>
          store.metric('skein_store_duplicates_total'),
        )
        return (await Promise.all(repeats)).reduce((sum, value) => sum + value, 0) > 100
      },
      { what: 'stores to have met repeats', deadlineMs: 30_000, everyMs: 100 },
    )
    if (memory !== undefined) {
      expect(memory.counters.duplicated).toBeGreaterThan(0)
      expect(memory.counters.reordered).toBeGreaterThan(0)
      Object.assign(memory.faults, { duplication: 0, reordering: 0, delayMsMax: 0 })
    }
    await contract.check()
  },
}

const switched: ContractCase = {
  title: 'the transport is switched between two runs, the outbox still full',
  async run({ network, createMesh, use }) {
    const before = await openNetwork(network.transport === 'zeromq' ? 'hyperswarm' : 'zeromq')
    use({ [Symbol.asyncDispose]: () => before.close() })
    const mesh = createMesh(before)
    const settings = ['publisher.outbox.disk=256MiB']
    // Nobody is there yet.
    const [endpoint] = await mesh.endpoints(1)
    mesh.addStore(endpoint!, [endpoint!])
    const first = new Fleet(mesh, {
      vehicles: VEHICLES,
      samplesPerSecond: 120,
      name: 'fleet1',
      settings,
    })
    await first.program.ready
    await eventually(
      () => first.statuses.length > 0 && first.status.pendingSamples >= SWITCH_SAMPLES,
      {
        what: 'the outbox to fill',
        deadlineMs: 60_000,
      },
    )
    await first.abandon()
    const { published } = first.status
    expect(first.acked).toBe(0)

    mesh.stores.length = 0
    mesh.network = network
    const contract = new Contract(mesh)
    contract.earlier = published
    await mesh.startStores(3)
    await contract.startClients({ settings, name: 'fleet1', seed: 2 })
    contract.mayMissLive = true
    await contract.goOn()
    await contract.check()
  },
}

const clockWrong: ContractCase = {
  title: 'the clock of one publisher is an hour wrong',
  async run(context) {
    const contract = await started(context)
    const hourUs = 3_600e6
    const late = await contract.addFleet({ clockAheadUs: hourUs })
    const nowUs = Date.now() * 1000
    const ahead = late.receipts.flatMap(({ timesUs }) => timesUs)
    expect(Math.min(...ahead)).toBeGreaterThan(nowUs + hourUs * 0.9)
    await contract.goOn()
    await late.ackedMore(VEHICLES * RATE)
    await contract.check()
  },
}

const fourthStore: ContractCase = {
  title: 'a fourth storage peer joins while 200 vehicles publish: only its share of shards moves',
  async run(context) {
    const contract = new Contract(context.createMesh())
    await contract.start({ vehicles: 200, samplesPerSecond: 1 })
    const { mesh } = contract
    const ids = await Promise.all(mesh.stores.map((store) => store.storeId()))
    const [endpoint] = await mesh.endpoints(1)
    const fourth = mesh.addStore(endpoint!, [mesh.seed])
    await fourth.start()
    await mesh.joined()
    const own = await fourth.storeId()
    const after = [...ids, own]
    const gained = ownedShards(own, after)
    for (const storeId of ids) {
      const had = ownedShards(storeId, ids)
      const has = ownedShards(storeId, after)
      expect([...has].every((shard) => had.has(shard))).toBe(true)
      expect([...had].every((shard) => has.has(shard) || gained.has(shard))).toBe(true)
    }
    // A quarter of 2 x 64 copies is 32.
    expect(gained.size).toBeGreaterThan(SHARDS / 4)
    expect(gained.size).toBeLessThan(SHARDS * 0.75)
    const since = contract.receipts.length
    await contract.goOn()
    await eventually(
      () => contract.receipts.slice(since).some(({ stores }) => stores.includes(own)),
      { what: 'the fourth store to acknowledge', deadlineMs: 60_000 },
    )
    // Whoever did not move is where it was.
    const owners = new Map(ids.map((storeId) => [storeId, ownedShards(storeId, ids)]))
    const moved = contract.receipts.slice(since).filter(({ source, stores }) => {
      const shard = shardOf(source)
      return !gained.has(shard) && stores.some((id) => owners.get(id)?.has(shard) !== true)
    })
    expect(moved).toEqual([])
    await fourth.caughtUp(60_000)
    await contract.check()
  },
}

export const CONTRACT_CASES: readonly ContractCase[] = [
  steady,
  storeKilled,
  storeWiped,
  serverKilled,
  partition,
  subscriberStalls,
  publisherOffline,
  repeatedAndReordered,
  switched,
  clockWrong,
  fourthStore,
]
