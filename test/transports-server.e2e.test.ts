// Transports with a server, on real ones: what a user reads when it is away, refuses, or keeps something
// that is not ours under our names; and that nothing published meanwhile is lost.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startBootstrap } from '../mesh/index.ts'
import { startSystem, type RunningSystem, type StartOptions } from '../systems/index.ts'
import { systemSuite } from '../systems/testing.ts'
import { Shell, type Command } from './harness/command.ts'
import { freeEndpoint } from './harness/ports.ts'
import {
  numbers,
  SmallMesh,
  SMALL_STREAM,
  type SmallMeshOptions,
} from './harness/small-mesh.ts'

const shell = new Shell()
afterAll(() => shell[Symbol.asyncDispose]())

const STACK = /\n\s+at .+:\d+/
const HOST = '127.0.0.1'

const freePort = async (): Promise<number> => Number(new URL(await freeEndpoint()).port)

/** How often something was said. */
const times = ({ stderr }: Pick<Command, 'stderr'>, pattern: RegExp): number =>
  stderr.split('\n').filter((line) => pattern.test(line)).length

interface Away {
  readonly mesh: SmallMesh
  /** One line that says what is away, where, and that it is not given up. */
  readonly reason: RegExp
  readonly serve: () => Promise<unknown>
}

/** A store and two publishers that start before their server does. */
async function startsWithoutServer({ mesh, reason, serve }: Away): Promise<void> {
  const storage = mesh.startStore()
  const early = mesh.startPublish(0, 20, 1)
  const asking = mesh.run(['query', 'latest', '-s', SMALL_STREAM])
  await Promise.all([storage.says(reason), early.says(reason)])
  const given = await early.ended
  expect(given.stderr).toMatch(/20 samples were not acknowledged .* the disk outbox keeps them/)
  expect(given.code).toBe(3)
  const asked = await asking
  expect(asked.stderr).toMatch(/QUERY_NO_PEER: no storage peer answered over .* within 5 s: /)
  expect(asked.code).toBe(1)

  const late = mesh.startPublish(20, 20, 60)
  await late.says(reason)
  await serve()
  await storage.says(/^s1 is ready: store [0-9a-f]{16}/m)
  const ended = await late.ended
  expect(ended.stderr).toMatch(/20 published, 40 stored, 0 refused/)
  expect(ended.code).toBe(0)
  expect(await mesh.stored()).toEqual(numbers(0, 40))
  for (const said of [given, ended, storage]) {
    expect(times(said, reason)).toBe(1)
    expect(said.stderr).not.toMatch(STACK)
  }
  expect((await storage.end('SIGTERM')).code).toBe(0)
}

systemSuite('nats', () => {
  const user = { user: 'fleet', password: 'right one' }
  const login = ['nats.user=fleet', 'nats.password=right one']
  const server = serverLater('nats', { nats: user }, (port) => `nats://${HOST}:${port}`)

  test('away at the start - everything starts, says so once, and stores all when it comes', async () => {
    const { address } = server
    const mesh = smallMesh({ transport: 'nats', address, settings: login })
    const reason = line(`${address} does not answer \\(connection refused\\); trying again`)
    await startsWithoutServer({ mesh, reason, serve: server.start })
  }, 60_000)

  test('wrong password - said with the server, nothing lost, and stored once it is right', async () => {
    const { address } = server
    await wrongCredentials({
      mesh: smallMesh({ transport: 'nats', address, settings: login }),
      wrong: ['nats.password=wrong one'],
      reason: line(`${address} refuses these credentials`),
    })
  }, 60_000)

  test('a stream of our name with foreign settings - says what is wrong, changes nothing', async () => {
    const { address } = server
    const mesh = smallMesh({ transport: 'nats', address, settings: login })
    await using admin = await natsAdmin(address, user)
    const name = await admin.addForeignStream(mesh.name)
    const before = await admin.configOf(name)
    const storage = mesh.startStore()
    await storage.says(
      line(
        `stream ${name} has foreign settings: its subjects must include .*; storage is memory, must be file. ` +
          'Change them, or remove the stream .*, or give this mesh another name',
      ),
    )
    expect(await mesh.startPublish(0, 3, 1).ended).toMatchObject({ code: 3 })
    expect(await admin.configOf(name)).toEqual(before)
    // Its owner does as told: then it works without a restart.
    await admin.removeStream(name)
    await storage.says(/is ready/)
    expect(await mesh.startPublish(3, 1, 30).ended).toMatchObject({ code: 0 })
    expect(await mesh.stored()).toEqual(numbers(0, 4))
  }, 60_000)
})
