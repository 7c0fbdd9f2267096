// What else is on the network: a mesh of the same name with another key, and a server that takes less than a
// publisher sends.
import { afterAll, describe, expect, test, type TestContext } from 'vitest'
import { eventually } from '../mesh/conformance/eventually.ts'
import {
  createTransport,
  meshIdentity,
  startBootstrap,
  systemClock,
  systemRandom,
} from '../mesh/index.ts'
import { startSystem, type NatsOptions, type RunningSystem } from '../systems/index.ts'
import { systemSuite } from '../systems/testing.ts'
import { Shell, type Command, type Ended } from './harness/command.ts'
import { testMeshName } from './harness/mesh.ts'
import { freeEndpoint } from './harness/ports.ts'
import { numbers, SMALL_STREAM, SmallMesh, type SmallMeshOptions } from './harness/small-mesh.ts'

const shell = new Shell()
afterAll(() => shell[Symbol.asyncDispose]())

/** Two meshes whose only difference is the key. */
function twins({ transport, address }: SmallMeshOptions): [SmallMesh, SmallMesh] {
  const name = testMeshName()
  const mesh = (key: string): SmallMesh =>
    new SmallMesh(shell, { transport, address, name, settings: [`mesh.key=${key}`] })
  return [mesh('ours'), mesh('theirs')]
}

async function metric({ stderr }: Command, name: string): Promise<number> {
  const http = /HTTP at (http:\/\/[\w.:]+)/.exec(stderr)![1]!
  const response = await fetch(`${http}/metrics`)
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await response.text())?.[1])
}

const warnings = ({ stderr }: Pick<Command, 'stderr'>): string[] =>
  stderr.split('\n').filter((line) => line.startsWith('warning: '))

describe('another key on zeromq', () => {
  test('who comes with it is refused, counted, and told of once; neither gets the other’s data', async () => {
    const [ours, theirs] = twins({ transport: 'zeromq', address: await freeEndpoint() })
    const storage = ours.startStore()
    await storage.says(/is ready/)
    // Its store and its publisher look for the mesh where ours is.
    const other = theirs.startStore(['zeromq.bind=tcp://127.0.0.1:0'])
    const knocking = theirs.startPublish(100, 5, 2)
    await storage.says(/knocks here and is not talked to/)
    await other.says(/no store with this mesh\.key answers at/)
    const [given, asked] = await Promise.all([
      knocking.ended,
      theirs.run(['query', 'latest', '-s', SMALL_STREAM]),
    ])
    expect([given.code, asked.code]).toEqual([3, 1])
    expect(asked.stderr).toMatch(`is its mesh.name ${ours.name}, with the same mesh.key?`)
    expect(await ours.startPublish(0, 5, 30).ended).toMatchObject({ code: 0 })
    expect(await ours.stored()).toEqual(numbers(0, 5))
    expect(await metric(storage, 'skein_transport_rejected_messages_total')).toBeGreaterThan(0)
    expect(warnings(storage)).toEqual([
      expect.stringMatching(
        /of another mesh \(id [0-9a-f]{16}\) knocks .* give it the same mesh\.name and mesh\.key/,
      ),
    ])
    expect(other.stderr).not.toMatch(/is ready/)
  }, 60_000)
})

describe('another key on hyperswarm', () => {
  test('meshes do not meet; who dials a peer without its key is refused, counted, and told of once', async ({
    onTestFinished,
  }) => {
    const node = await startBootstrap({ host: '127.0.0.1', port: 0 })
    onTestFinished(() => node.close())
    const [ours, theirs] = twins({ transport: 'hyperswarm', address: node.address })
    const [storage, other] = [ours.startStore(), theirs.startStore()]
    const ready = await storage.says(/is ready: .*/)
    await other.says(/is ready/)
    await bothWork(ours, theirs)
    expect([...warnings(storage), ...warnings(other)]).toEqual([])

    const [endpoint] = /hyperswarm:\/\/[0-9a-f]{64}/.exec(ready)!
    const meshId = meshIdentity(ours.name, 1, 1, 'guessed').id
    await using stranger = await createTransport({
      name: 'hyperswarm',
      meshName: ours.name,
      meshKey: 'guessed',
      meshId,
      bootstrap: [node.address],
      host: '127.0.0.1',
      listens: false,
      clock: systemClock,
      random: systemRandom,
    })
    await stranger.open()
    stranger.link(endpoint)
    await storage.says(/warning: a process .* knocks here without the key of mesh .* not talked to/)
    await eventually(
      async () => (await metric(storage, 'skein_transport_rejected_messages_total')) >= 2,
      { what: 'it has knocked twice', deadlineMs: 20_000, everyMs: 50 },
    )
    expect(stranger.linked().size).toBe(0)
    expect(warnings(storage)).toHaveLength(1)
  }, 60_000)
})

/** Each publishes and reads its own, at the same time and under the same names. */
async function bothWork(ours: SmallMesh, theirs: SmallMesh): Promise<void> {
  const ends = await Promise.all([
    ours.startPublish(0, 5, 30).ended,
    theirs.startPublish(100, 5, 30).ended,
  ])
  expect(ends.map(({ code }) => code)).toEqual([0, 0])
  expect(await Promise.all([ours.stored(), theirs.stored()])).toEqual([
    numbers(0, 5),
    numbers(100, 5),
  ])
}

/** Of the server. */
const LOW_LIMIT = 256 * 1024
/** Large samples and small ones would share frames. */
const SHARED_FRAMES = ['publisher.frameBytes=1MiB', 'publisher.linger=100ms']

/** Six rows, of which the second and the fifth are above the limit. */
function someLong(from: number): string {
  const rows = numbers(from, 6).map((x, index) => ({
    source: 'S1',
    x,
    ...(index % 3 === 1 && { text: 'long '.repeat(60_000) }),
  }))
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
}

systemSuite('nats', () => {
  const serverOf = async (
    onTestFinished: TestContext['onTestFinished'],
    messageBytesMax?: number,
  ): Promise<string> => {
    const limit = messageBytesMax === undefined ? {} : { messageBytesMax }
    const server = await startSystem('nats', { nats: limit })
    onTestFinished(() => server.stop())
    return server.address
  }

  test('another key - is refused, counted, and told of once; neither gets the other’s data', async ({
    onTestFinished,
  }) => {
    const address = await serverOf(onTestFinished)
    const [ours, theirs] = twins({ transport: 'nats', address })
    const [storage, other] = [ours.startStore(), theirs.startStore()]
    const told =
      /warning: peer s1 \([0-9a-f]{16}\) is of another mesh: .* and another mesh\.key\. .*: give/
    await Promise.all([storage.says(told), other.says(told)])
    await Promise.all([storage.says(/is ready/), other.says(/is ready/)])
    await bothWork(ours, theirs)
    for (const store of [storage, other]) {
      expect(warnings(store)).toHaveLength(1)
      expect(await metric(store, 'skein_ingest_rejected_messages_total')).toBeGreaterThan(0)
    }
  }, 60_000)

  test('a sample above the limit of the server is refused by its line; what fits goes on', async ({
    onTestFinished,
  }) => {
    const address = await serverOf(onTestFinished, LOW_LIMIT)
    const mesh = new SmallMesh(shell, { transport: 'nats', address })
    await mesh.startStore().says(/is ready/)
    const { code, stderr } = await mesh.start(
      ['publish', SMALL_STREAM, '--timeout', '20'],
      SHARED_FRAMES,
      { input: someLong(0) },
    ).ended
    expect(warnings({ stderr })).toEqual([
      expect.stringMatching(
        /^warning: line 2 refused: frame of \d+ bytes exceeds the \d+ that nats takes/,
      ),
      expect.stringMatching(
        /^warning: line 5 refused: frame of \d+ bytes exceeds the \d+ that nats takes/,
      ),
    ])
    expect(stderr).toMatch(/4 published, 4 stored, 2 refused/)
    expect(code).toBe(0)
    expect(await mesh.stored()).toEqual([0, 2, 3, 5])
  }, 60_000)

  test('a sample above a limit that nobody knew yet waits in the outbox until it fits; what fits goes on', async ({
    onTestFinished,
  }) => {
    const port = Number(new URL(await freeEndpoint()).port)
    const dataPath = shell.directory()
    const serve = async (nats: NatsOptions): Promise<RunningSystem> => {
      const server = await startSystem('nats', { port, dataPath, nats })
      onTestFinished(() => server.stop())
      return server
    }
    const mesh = new SmallMesh(shell, { transport: 'nats', address: `nats://127.0.0.1:${port}` })
    const publish = (from: number, timeout: string): Promise<Ended> =>
      mesh.start(['publish', SMALL_STREAM, '--timeout', timeout], SHARED_FRAMES, {
        input: someLong(from),
      }).ended
    expect(await publish(0, '0')).toMatchObject({ code: 3 })
    const low = await serve({ messageBytesMax: LOW_LIMIT })
    const storage = mesh.startStore()
    await storage.says(/is ready/)
    const { code, stderr } = await publish(6, '5')
    expect(stderr).toMatch(/line 2 refused: .*\n.*line 5 refused: /)
    expect(stderr).toMatch(/\d samples were not acknowledged .*: the disk outbox keeps them/)
    expect(code).toBe(3)
    // What shares a frame with a long one waits with it; what was published now does not.
    expect(await mesh.stored()).toEqual(expect.arrayContaining([6, 8, 9, 11]))

    await low.stop({ keepData: true })
    await storage.says(/warning: nats:.*; trying again/)
    await serve({})
    await storage.says(/nats works again/)
    expect(await mesh.startPublish(12, 1, 30).ended).toMatchObject({ code: 0 })
    expect(await mesh.stored()).toEqual([...numbers(0, 7), 8, 9, 11, 12])
  }, 60_000)
})
