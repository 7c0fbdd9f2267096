// The Zenoh bridge and the DHT node that are not there yet when peers start.
import { afterAll, beforeAll, describe, test } from 'vitest'
import { startBootstrap } from '../mesh/index.ts'
import { systemSuite } from '../systems/testing.ts'
import { Shell } from './harness/command.ts'
import { freeEndpoint } from './harness/ports.ts'
import { HOST, line, ServerLater, startsWithoutServer } from './harness/server-cases.ts'
import { SmallMesh } from './harness/small-mesh.ts'

const shell = new Shell()
afterAll(() => shell[Symbol.asyncDispose]())

systemSuite('zenoh', () => {
  const server = new ServerLater('zenoh')
  beforeAll(() => server.choosePort())
  afterAll(() => server.stop())

  test('away at the start - everything starts, says so once, and stores all when it comes', async () => {
    const { address } = server
    const mesh = new SmallMesh(shell, { transport: 'zenoh', address })
    const reason = line(`no Zenoh bridge answers at ${address} .*: start .* there .*; trying again`)
    await startsWithoutServer({ mesh, reason, serve: () => server.start() })
  }, 60_000)
})

describe('hyperswarm', () => {
  test('no DHT node at the start - everything starts, says so once, and stores all when it comes', async () => {
    const port = Number(new URL(await freeEndpoint()).port)
    const address = `${HOST}:${port}`
    await using cleanup = new AsyncDisposableStack()
    const mesh = new SmallMesh(shell, { transport: 'hyperswarm', address })
    const reason = line(`no DHT node answers at ${address}: start one with .*; trying again`)
    const serve = async (): Promise<void> => {
      const node = await startBootstrap({ host: HOST, port })
      cleanup.defer(() => node.close())
    }
    await startsWithoutServer({ mesh, reason, serve })
  }, 60_000)
})
