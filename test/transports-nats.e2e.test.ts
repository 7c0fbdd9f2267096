// NATS as a user meets it when something is wrong with the server: away, another password, a stream that is
// not ours.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemSuite } from '../systems/testing.ts'
import { Shell } from './harness/command.ts'
import { natsAdmin } from './harness/foreign.ts'
import { line, ServerLater, startsWithoutServer, wrongCredentials } from './harness/server-cases.ts'
import { numbers, SmallMesh } from './harness/small-mesh.ts'

const shell = new Shell()
afterAll(() => shell[Symbol.asyncDispose]())

systemSuite('nats', () => {
  const user = { user: 'fleet', password: 'right one' }
  const login = ['nats.user=fleet', 'nats.password=right one']
  const server = new ServerLater('nats', { nats: user })
  beforeAll(() => server.choosePort())
  afterAll(() => server.stop())

  test('away at the start - everything starts, says so once, and stores all when it comes', async () => {
    const { address } = server
    const mesh = new SmallMesh(shell, { transport: 'nats', address, settings: login })
    const reason = line(`${address} does not answer \\(connection refused\\); trying again`)
    await startsWithoutServer({ mesh, reason, serve: () => server.start() })
  }, 60_000)

  test('wrong password - said with the server, nothing lost, and stored once it is right', async () => {
    const { address } = server
    await wrongCredentials({
      mesh: new SmallMesh(shell, { transport: 'nats', address, settings: login }),
      wrong: ['nats.password=wrong one'],
      reason: line(`${address} refuses these credentials`),
    })
  }, 60_000)

  test('a stream of our name with foreign settings - says what is wrong, changes nothing', async () => {
    const { address } = server
    const mesh = new SmallMesh(shell, { transport: 'nats', address, settings: login })
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
