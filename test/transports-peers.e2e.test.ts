// `skein peers` on a transport with links and on one with a broker: who is there, what each does, and what
// becomes of the shards of a store that stands still.
import { describe, expect, test, type TestContext } from 'vitest'
import { eventually } from '../mesh/conformance/eventually.ts'
import { SHARDS, type TransportName } from '../mesh/index.ts'
import { systemSuite } from '../systems/testing.ts'
import { onlyJson } from './harness/command.ts'
import { createMesh, type TestMesh } from './harness/mesh.ts'
import { openNetwork } from './harness/network.ts'

interface PeerRow {
  readonly name: string
  readonly roles: readonly string[]
  readonly state: string
  readonly lastSeenMs: number
  readonly transport: string
  readonly links?: number
  readonly shards?: number
  readonly lagFrames?: number
  readonly storeId?: string
  readonly http?: string
}

const REPLICAS = 2
const SUSPECT_MS = 3_000

async function peers(mesh: TestMesh): Promise<PeerRow[]> {
  const { code, stdout, stderr } = await mesh.skein(['peers', '--json'])
  if (code !== 0) throw new Error(`skein peers ended with ${code}: ${stderr}`)
  return onlyJson(stdout)['peers'] as PeerRow[]
}

const shardsOf = (rows: readonly PeerRow[]): number =>
  rows.reduce((sum, { shards = 0 }) => sum + shards, 0)

async function showsAll(
  transport: TransportName,
  onTestFinished: TestContext['onTestFinished'],
): Promise<void> {
  const network = await openNetwork(transport)
  onTestFinished(() => network.close())
  const mesh = createMesh(onTestFinished, network)
  await mesh.startStores(3)
  const aggregator = ['node', 'aggregator', '--name', 'windows']
  await mesh.startSkein('windows', [...mesh.flags([mesh.seed]), ...aggregator]).ready
  const names = ['s1', 's2', 's3', 'windows']
  const calm = await eventually(
    async () => {
      const rows = await peers(mesh)
      // A row says what its peer announced last: of one that has just come, that is little.
      const isCalm = rows.every(({ state, links = 2 }) => state === 'alive' && links >= 2)
      return rows.length === names.length && isCalm && rows
    },
    { what: 'all four are shown, with their links', deadlineMs: 20_000, everyMs: 50 },
  )
  expect(calm.map(({ name, roles }) => [name, roles])).toEqual([
    ['s1', ['storage']],
    ['s2', ['storage']],
    ['s3', ['storage']],
    ['windows', ['aggregator']],
  ])
  expect(shardsOf(calm)).toBe(REPLICAS * SHARDS)
  const hasLinks = transport === 'zeromq'
  for (const row of calm) {
    expect(row.transport).toBe(transport)
    expect(row.lastSeenMs).toBeLessThan(SUSPECT_MS)
    expect(row.links === undefined).toBe(!hasLinks)
  }
  for (const { shards, lagFrames, storeId, http } of calm.slice(0, 3)) {
    expect(shards).toBeGreaterThan(0)
    expect(lagFrames).toBe(0)
    expect(storeId).toMatch(/^[0-9a-f]{16}$/)
    expect(http).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  }

  const { stdout } = await mesh.skein(['peers'])
  const [titles, ...lines] = stdout.trimEnd().split('\n')
  expect(titles).toMatch(
    /^name +role +state +last seen +transport +links +shards +lag +store +http$/,
  )
  expect(lines).toHaveLength(4)
  const links = hasLinks ? '\\d+' : '-'
  const line = `^s2 +storage +alive +\\d+s ago +${transport} +${links} +\\d+ +0 +[0-9a-f]{16} +http://\\S+$`
  expect(lines[1]).toMatch(new RegExp(line))
  expect(Math.max(...stdout.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(120)

  await standsStill(mesh, calm)
}

/** The second store is halted as a process is that swaps, or sits on a host that hangs. */
async function standsStill(mesh: TestMesh, calm: readonly PeerRow[]): Promise<void> {
  const [, victim] = mesh.stores
  await victim!.process.pause()
  const shown = await eventually(
    async () => {
      const rows = await peers(mesh)
      return rows[1]?.state === 'suspect' && rows
    },
    { what: 's2 is suspect', deadlineMs: 20_000, everyMs: 50 },
  )
  expect(shown[1]).toMatchObject({ name: 's2', shards: 0, storeId: calm[1]!.storeId })
  expect(shown.filter(({ state }) => state === 'alive')).toHaveLength(3)
  expect(shardsOf(shown)).toBe(REPLICAS * SHARDS)
  const later = await peers(mesh)
  expect(later[1]!.lastSeenMs).toBeGreaterThan(shown[1]!.lastSeenMs)

  victim!.process.resume()
  await eventually(
    async () => {
      const rows = await peers(mesh)
      return rows[1]?.state === 'alive' && rows[1].shards === calm[1]!.shards
    },
    { what: 's2 is back with its shards', deadlineMs: 20_000, everyMs: 50 },
  )
}

describe('on zeromq', () => {
  test(
    'shows who is there; a store that stands still is suspect, and its shards are others’',
    ({ onTestFinished }) => showsAll('zeromq', onTestFinished),
    60_000,
  )
})

systemSuite('nats', () => {
  test(
    'shows who is there; a store that stands still is suspect, and its shards are others’',
    ({ onTestFinished }) => showsAll('nats', onTestFinished),
    60_000,
  )
})
