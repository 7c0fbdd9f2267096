// Choosing a transport on the command line: what is mistyped, what is not there, and what `skein up` and
// `skein bootstrap` start and end.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../mesh/conformance/eventually.ts'
import { systemSuite } from '../systems/testing.ts'
import {
  childrenOf,
  isRunning,
  jsonError,
  onlyJson,
  Shell,
  type Command,
} from './harness/command.ts'
import { Namespace } from './harness/namespace.ts'
import { freeEndpoint } from './harness/ports.ts'
import { numbers, SmallMesh, SMALL_STREAM } from './harness/small-mesh.ts'

const shell = new Shell()
afterAll(() => shell[Symbol.asyncDispose]())

/** `127.0.0.1:port`, where nothing listens. */
const freeAddress = async (host?: string): Promise<string> =>
  (await freeEndpoint(host)).replace('tcp://', '')

describe.concurrent('the name of a transport', () => {
  const config = (text: string): string => {
    const cwd = shell.directory()
    writeFileSync(join(cwd, 'skein.yaml'), text)
    return cwd
  }

  test.each([
    [['up', '--transport', 'kafak'], /flag --transport: transport is "kafak"; .*mean kafka\?/],
    [
      ['up', '--transport', 'memory'],
      /transport memory connects nodes of one process, and .*: use/,
    ],
    [['up', '--set', 'nats.serverz=x'], /nats\.serverz is not known; did you mean nats\.servers\?/],
  ])('%j - is refused, with what was meant', async (words, message) => {
    const { code, stderr, stdout } = await shell.run(words)
    expect(stderr).toMatch(message)
    expect([code, stdout]).toEqual([2, ''])
  })

  test('hyperswarm on the public DHT without a key - is refused: anybody could join', async () => {
    const words = ['node', 'storage', '--transport', 'hyperswarm', '--data', shell.directory()]
    const { code, stderr } = await shell.run(words)
    expect(stderr).toMatch(
      /^NODE_START_FAILED: .* set mesh\.key to a secret .* or hyperswarm\.boot/,
    )
    expect(code).toBe(1)
  })

  test('in skein.yaml and as a variable - counts, and is checked with its place', async () => {
    const cwd = config('transport: nats\n')
    const words = ['config', 'show']
    const [file, variable, slips, badVariable] = await Promise.all([
      shell.run(words, { cwd }),
      shell.run(words, { cwd, env: { SKEIN_TRANSPORT: 'kafka' } }),
      shell.run(words, { cwd: config('transport: natz\nnats:\n  serverz: [x]\n') }),
      shell.run(words, { env: { SKEIN_TRANSPORT: 'zenho' } }),
    ])
    expect(file.stdout).toMatch(/^transport +skein\.yaml:1 +nats$/m)
    expect(variable.stdout).toMatch(/^transport +env SKEIN_TRANSPORT +kafka$/m)
    expect(slips.stderr).toMatch(/skein\.yaml:1:1: transport is "natz"; .*did you mean nats\?/)
    expect(slips.stderr).toMatch(/skein\.yaml:3:3: nats\.serverz .* did you mean nats\.servers\?/)
    expect(badVariable.stderr).toMatch(/env SKEIN_TRANSPORT: .* did you mean zenoh\?/)
    expect([file, variable, slips, badVariable].map(({ code }) => code)).toEqual([0, 0, 2, 2])
  })
})

describe.concurrent('skein up without the server it needs', () => {
  test.each([
    ['nats', 'nats.servers', (address: string) => `nats://${address}`],
    ['kafka', 'kafka.brokers', (address: string) => address],
    ['zenoh', 'zenoh.bridge', (address: string) => `ws://${address}`],
  ])('%s - names the one command that installs it, and starts nothing', async (name, key, url) => {
    const address = url(await freeAddress())
    const data = shell.directory()
    // Nothing is installed there.
    const env = { XDG_CACHE_HOME: shell.directory() }
    const words = ['up', '--transport', name, '--set', `${key}=${address}`, '--data', data]
    const { code, stdout, stderr } = await shell.run(words, { env })
    expect(stderr).toBe(
      `NODE_START_FAILED: transport ${name} needs a server, and none answers at ${address} (${key}): ` +
        `npm run systems -- install ${name}, then start again; or set ${key} to where one runs\n`,
    )
    expect([code, stdout]).toEqual([1, ''])
    expect(existsSync(join(data, 'storage-1'))).toBe(false)
    expect(existsSync(join(data, 'mesh.json'))).toBe(false)
  })
})

/** A mesh that has stored something, and the processes that make it up. */
async function running(words: readonly string[], cwd: string): Promise<[Command, number[]]> {
  const up = shell.start(
    ['up', '--data', cwd, '--json', '--vehicles', '2', '--rate', '20', ...words],
    { cwd },
  )
  await eventually(
    async () => {
      if (!up.isRunning) throw new Error(`up has ended: ${up.stderr}`)
      const asked = ['query', 'latest', '-s', 'vehicle.motion', '--data', cwd, '--json']
      return (await shell.run(asked)).code === 0
    },
    { what: 'the fleet is stored', deadlineMs: 40_000, everyMs: 100 },
  )
  return [up, descendantsOf(up.pid)]
}

const descendantsOf = (pid: number): number[] =>
  childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)])

const commandOf = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, 'utf8')

systemSuite('nats', () => {
  test('up - starts one, and ends it with itself on SIGTERM, with everything stored', async () => {
    const cwd = shell.directory()
    const address = `nats://${await freeAddress()}`
    const [up, pids] = await running(
      ['--transport', 'nats', '--set', `nats.servers=${address}`],
      cwd,
    )
    expect(pids.filter((pid) => commandOf(pid).includes('nats-server'))).toHaveLength(1)
    const { code, stdout, stderr } = await up.end('SIGTERM')
    expect(stderr).toBe('')
    const { complete, samples } = onlyJson(stdout) as {
      complete: boolean
      samples: Record<string, number>
    }
    expect({ complete, ...samples }).toMatchObject({ complete: true, duplicates: 0, gaps: 0 })
    expect(samples['stored']).toBe(samples['published'])
    expect(code).toBe(0)
    await eventually(() => !pids.some(isRunning), { what: 'all have ended', deadlineMs: 5_000 })
  }, 60_000)

  test('up - killed with kill -9, its server and its nodes end by themselves', async () => {
    const cwd = shell.directory()
    const address = `nats://${await freeAddress()}`
    const [up, pids] = await running(
      ['--transport', 'nats', '--set', `nats.servers=${address}`],
      cwd,
    )
    expect(pids.filter((pid) => commandOf(pid).includes('nats-server'))).toHaveLength(1)
    await up.end('SIGKILL')
    await eventually(() => !pids.some(isRunning), { what: 'all have ended', deadlineMs: 15_000 })
  }, 60_000)
})

describe('skein bootstrap', () => {
  test('is ready, says where, refuses a port that is taken, and ends on SIGTERM', async () => {
    const address = await freeAddress()
    const port = address.split(':')[1]!
    const first = shell.start(['bootstrap', '--port', port])
    await first.says(
      new RegExp(`^DHT node at ${address}: peers take it as hyperswarm.bootstrap`, 'm'),
    )
    const json = shell.start(['bootstrap', '--port', '0', '--json'])
    await json.says(/"ready"/)
    expect(onlyJson(json.stdout)).toMatchObject({
      type: 'ready',
      address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    })
    const taken = await shell.run(['bootstrap', '--port', port, '--json'])
    expect(jsonError(taken)).toMatchObject({
      code: 'MESH_ADDRESS_IN_USE',
      message: expect.stringContaining(port),
    })
    expect(taken.code).toBe(1)
    const wrong = await shell.run(['bootstrap', '--port', 'x'])
    expect(wrong.stderr).toMatch(/^CLI_USAGE: --port x is not a whole number/)
    expect(wrong.code).toBe(2)
    expect((await first.end('SIGTERM')).code).toBe(0)
    expect((await json.end('SIGINT')).code).toBe(0)
  }, 30_000)
})

describe('a Hyperswarm mesh', () => {
  const missing = Namespace.unavailable()
  if (missing !== undefined) console.log(`skipped: HTTP over Hyperswarm (${missing})`)
  let space: Namespace
  beforeAll(() => {
    if (missing === undefined) space = Namespace.create()
  })
  afterAll(() => space?.[Symbol.asyncDispose]())

  test.skipIf(missing !== undefined)(
    'status, peers and queries reach a store whose HTTP no TCP leads to',
    async () => {
      // The store's HTTP is on the loopback of its namespace; DHT and asker are on this side of the wire.
      const address = await freeAddress(space.hostAddress)
      const [host, port] = address.split(':') as [string, string]
      const node = shell.start(['bootstrap', '--host', host, '--port', port])
      await node.says(/^DHT node at/m)
      const mesh = new SmallMesh(shell, { transport: 'hyperswarm', address })
      const far = mesh.start(
        ['node', 'storage', '--name', 's1'],
        [`hyperswarm.host=${space.address}`],
        { under: space.enter },
      )
      const ready = await far.says(/^s1 is ready: .* HTTP at \S+/m)
      expect(ready).toMatch(/HTTP at http:\/\/127\.0\.0\.1:\d+/)
      const near = [`hyperswarm.host=${host}`]
      const published = await mesh.startPublish(0, 5, 30, near).ended
      expect(published.stderr).toMatch(/5 published, 5 stored, 0 refused/)

      const [status, peers, rows] = await Promise.all([
        mesh.run(['status', '--json'], near),
        mesh.run(['peers', '--json'], near),
        mesh.run(['query', 'range', '-s', SMALL_STREAM, '--json'], near),
      ])
      expect(onlyJson(status.stdout)).toMatchObject({
        healthy: true,
        stores: [
          { name: 's1', http: expect.stringMatching(/^hyperswarm:/), status: { samples: 5 } },
        ],
      })
      expect(onlyJson(peers.stdout)).toMatchObject({
        peers: [
          { name: 's1', transport: 'hyperswarm', http: expect.stringMatching(/^hyperswarm:/) },
        ],
      })
      const lines = rows.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as object)
      expect(lines.slice(0, -1)).toMatchObject(numbers(0, 5).map((x) => ({ fields: { x } })))
      expect(lines.at(-1)).toMatchObject({ coverage: { complete: true } })
      expect([status.code, peers.code, rows.code]).toEqual([0, 0, 0])
    },
    60_000,
  )
})
