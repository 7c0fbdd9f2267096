// Kafka as a user meets it when something is wrong with the broker: away, another password, a topic that is
// not ours.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemSuite } from '../systems/testing.ts'
import { Shell } from './harness/command.ts'
import { kafkaAdmin } from './harness/foreign.ts'
import { line, ServerLater, startsWithoutServer, wrongCredentials } from './harness/server-cases.ts'
import { numbers, SmallMesh } from './harness/small-mesh.ts'

const shell = new Shell()
afterAll(() => shell[Symbol.asyncDispose]())

systemSuite('kafka', () => {
  const sasl = { username: 'fleet', password: 'right-one' }
  const login = ['kafka.user=fleet', 'kafka.password=right-one']
  const server = new ServerLater('kafka', { kafka: { sasl } })
  beforeAll(() => server.choosePort())
  afterAll(() => server.stop())

  test('away at the start - everything starts, says so once, and stores all when it comes', async () => {
    const { address } = server
    const mesh = new SmallMesh(shell, { transport: 'kafka', address, settings: login })
    const reason = line(`${address} does not answer \\(connection refused\\); trying again`)
    await startsWithoutServer({ mesh, reason, serve: () => server.start() })
  }, 90_000)

  test('wrong password - said with the broker and the user, nothing lost, and stored once it is right', async () => {
    const { address } = server
    await wrongCredentials({
      mesh: new SmallMesh(shell, { transport: 'kafka', address, settings: login }),
      wrong: ['kafka.password=wrong one'],
      reason: line(`${address} refuses these credentials \\(user fleet\\)`),
    })
  }, 60_000)

  test('a topic of our name with other partitions - says what is wrong, changes nothing', async () => {
    const { address } = server
    const mesh = new SmallMesh(shell, { transport: 'kafka', address, settings: login })
    await using admin = kafkaAdmin(address, sasl)
    const name = await admin.addForeignTopic(mesh.name)
    const before = await admin.stateOf(name)
    const storage = mesh.startStore()
    await storage.says(
      line(
        `topic ${name} has 1 partitions, 64 are needed: delete it .*, or give the mesh another name`,
      ),
    )
    expect(await mesh.startPublish(0, 3, 1).ended).toMatchObject({ code: 3 })
    expect(await admin.stateOf(name)).toEqual(before)
    // Its owner does as told: then it works without a restart.
    await admin.removeTopic(name)
    await storage.says(/is ready/)
    expect(await mesh.startPublish(3, 1, 30).ended).toMatchObject({ code: 0 })
    expect(await mesh.stored()).toEqual(numbers(0, 4))
  }, 60_000)
})
