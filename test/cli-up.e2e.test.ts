// `skein up` from a user's two terminals: what the second one sees of the first, what is still there at
// the next start, and how it all ends. One mesh for the whole file; the tests are its life in order.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../mesh/conformance/eventually.ts'
import {
  childrenOf,
  isRunning,
  jsonError,
  onlyJson,
  Shell,
  type Command,
  type Ended,
} from './harness/command.ts'
import { freeEndpoint } from './harness/ports.ts'

const CONFIG = `
aggregator:
  windows:
    - name: each
      stream: vehicle.motion
      every: 2s
      lateness: 500ms
      fields: [speed]
      aggregates: [count, avg, min, max]
  thresholds:
    - { name: moving, stream: vehicle.motion, field: speed, above: 5 }
`

interface Row {
  readonly timeUs: number
  readonly source: string
  readonly fields: Readonly<Record<string, number | string>>
}

const shell = new Shell()
let cwd: string
let seed: string
let up: Command

beforeAll(async () => {
  cwd = shell.directory()
  seed = await freeEndpoint()
  writeFileSync(join(cwd, 'skein.yaml'), CONFIG)
  up = startUp('--vehicles', '3', '--rate', '20')
})
afterAll(() => shell[Symbol.asyncDispose]())

const startUp = (...words: readonly string[]): Command =>
  shell.start(['up', '--json', '--seed', seed, ...words], { cwd })

/** Typed in the same directory: it finds the mesh by itself. */
const skein = (...words: readonly string[]): Promise<Ended> => shell.run(words, { cwd })

/** The rows of a query; undefined while there is no mesh, or no such stream yet. */
async function ask(...words: readonly string[]): Promise<Row[] | undefined> {
  const { code, stdout } = await skein('query', ...words, '--json')
  if (code !== 0) return undefined
  const lines = stdout.trimEnd().split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Row)
}

const countAll = async (): Promise<number> => {
  const words = ['-s', 'vehicle.motion', '--fields', 'speed', '--agg', 'count', '--by', 'stream']
  const rows = await ask('downsample', ...words, '--from', '0', '--every', '36500d')
  return (rows ?? []).reduce(
    (sum, row) => sum + (row.fields['speed'] as unknown as { count: number }).count,
    0,
  )
}

describe('the first run', () => {
  test('windows and threshold crossings are streams, with the values of the raw samples', async () => {
    const found = await eventually(
      async () => {
        const rows = await ask('range', '-s', 'vehicle.motion.each')
        return rows !== undefined && rows.length >= 6 && rows
      },
      { what: 'two windows of three vehicles', deadlineMs: 25_000, everyMs: 50 },
    )
    const crossings = (await ask('range', '-s', 'vehicle.motion.moving'))!
    // After what was made of them, so that it has all of those.
    const raw = (await ask('range', '-s', 'vehicle.motion'))!
    const started = Math.min(...raw.map(({ timeUs }) => timeUs))
    // A first window may have begun before the aggregator listened.
    const whole = found.filter(({ timeUs }) => timeUs > started)
    expect(whole.length).toBeGreaterThanOrEqual(3)
    for (const { source, timeUs, fields } of whole) {
      const speeds = raw
        .filter((row) => row.source === source)
        .filter((row) => row.timeUs >= timeUs && row.timeUs < timeUs + 2_000_000)
        .map((row) => row.fields['speed'] as number)
      const sum = speeds.reduce((total, speed) => total + speed, 0)
      expect(fields).toEqual({
        speed_count: speeds.length,
        speed_avg: expect.closeTo(sum / speeds.length, 9),
        speed_min: Math.min(...speeds),
        speed_max: Math.max(...speeds),
        window_end_us: timeUs + 2e6,
      })
    }
    for (const { source, timeUs, fields } of crossings) {
      const at = raw.find((row) => row.source === source && row.timeUs === timeUs)
      expect(fields['value']).toBe(at?.fields['speed'])
      expect(fields['state']).toBe((fields['value'] as number) > 5 ? 'raised' : 'cleared')
    }
  }, 40_000)

  test('status, peers, latest, downsample, subscribe - with and without --json', async () => {
    const [status, statusText, peers, latest, few, live] = await Promise.all([
      skein('status', '--json'),
      skein('status'),
      skein('peers', '--json'),
      ask('latest', '-s', 'vehicle.motion', '--source', 'VH001,VH003', '--fields', 'speed'),
      ask('range', '-s', 'vehicle.motion', '--order', 'desc', '--limit', '2'),
      skein('subscribe', 'vehicle.motion', '--source', 'VH002', '--count', '3', '--json'),
    ])
    const { healthy, stores } = onlyJson(status.stdout) as {
      healthy: boolean
      stores: { status: { samples: number; diskBytes: number } }[]
    }
    expect(healthy).toBe(true)
    expect(stores).toHaveLength(3)
    // Every sample is on two stores, and what they hold lies on their disks.
    const copies = stores.reduce((sum, store) => sum + store.status.samples, 0)
    expect(copies).toBeGreaterThan(2 * 3 * 20 * 2)
    const onDisk = stores.reduce((sum, store) => sum + store.status.diskBytes, 0)
    expect(onDisk).toBeGreaterThan(1000 * 2)
    expect(statusText.stdout).toMatch(
      /^name +store +frames +samples .*state\n(storage-[123] +[0-9a-f]{16} .*\n){3}$/,
    )
    expect(statusText.stderr).toMatch(/acknowledges: 3 of 3 stores can, 2 must/)
    const roles = (onlyJson(peers.stdout)['peers'] as { roles: string[] }[]).flatMap(
      (peer) => peer.roles,
    )
    expect(roles).toEqual(expect.arrayContaining(['aggregator', 'subscriber']))
    expect(latest!.map(({ source, fields }) => [source, Object.keys(fields)])).toEqual([
      ['VH001', ['speed']],
      ['VH003', ['speed']],
    ])
    expect(few![0]!.timeUs).toBeGreaterThan(few![1]!.timeUs)
    const samples = live.stdout.trimEnd().split('\n')
    expect(samples.map((line) => JSON.parse(line) as Row)).toMatchObject([
      { source: 'VH002', late: false },
      { source: 'VH002' },
      { source: 'VH002' },
    ])
  })

  test('a second up on the same data is refused, on another with the same port too', async () => {
    const [same, other] = await Promise.all([
      skein('up', '--json', '--seed', 'tcp://127.0.0.1:0', '--fresh'),
      shell.run(['up', '--json', '--seed', seed]),
    ])
    expect(jsonError(same)).toMatchObject({
      code: 'STORE_IN_USE',
      message: expect.stringMatching(
        /a mesh is already running on .* \(process \d+\): stop it, use/,
      ),
    })
    expect(jsonError(other)).toMatchObject({
      code: 'MESH_ADDRESS_IN_USE',
      message: expect.stringMatching(
        `storage-1: cannot listen on ${seed}: .* another --data and another --seed, e\\.g\\. tcp:`,
      ),
      details: { endpoint: seed },
    })
    expect([same.code, other.code]).toEqual([1, 1])
    expect(await countAll()).toBeGreaterThan(0)
  })

  test('SIGTERM - ends within 10 s with one line of JSON: stored = published', async () => {
    const children = childrenOf(up.pid)
    expect(children).toHaveLength(5)
    const startMs = performance.now()
    const { code, stdout, stderr } = await up.end('SIGTERM')
    expect(performance.now() - startMs).toBeLessThan(10_000)
    expect([code, stderr]).toEqual([0, ''])
    const summary = onlyJson(stdout) as {
      samples: Record<string, number>
      latencyUs: Record<string, Record<string, number>>
      peers: { samples: number }[]
    }
    const { published, stored, derived } = summary.samples
    expect(summary).toMatchObject({
      complete: true,
      samples: { duplicates: 0, gaps: 0, refused: 0, dropped: 0 },
    })
    expect(stored).toBe(published)
    expect(derived).toBeGreaterThanOrEqual(6)
    expect(Object.keys(summary.latencyUs)).toEqual(['live', 'stored'])
    expect(summary.latencyUs['live']!['p50']).toBeGreaterThan(0)
    expect(summary.peers).toHaveLength(3)
    // The last word, not that of the last half second: every sample is on two stores.
    const copies = summary.peers.reduce((sum, { samples }) => sum + samples, 0)
    expect(copies).toBeGreaterThanOrEqual(2 * (published! + derived!))
    expect(children.filter(isRunning)).toEqual([])
    expect(existsSync(join(cwd, '.skein', 'mesh.json'))).toBe(false)
  })
})

describe('the runs after it', () => {
  test('everything stored before is there, and a killed up leaves no process behind', async () => {
    up = startUp('--vehicles', '0')
    await eventually(() => existsSync(join(cwd, '.skein', 'mesh.json')), { deadlineMs: 20_000 })
    const before = await eventually(async () => (await countAll()) || false, {
      what: 'the first run is stored',
      deadlineMs: 2e4,
      everyMs: 50,
    })
    expect(before).toBeGreaterThan(100)
    expect((await ask('latest', '-s', 'vehicle.motion.each'))!).toHaveLength(3)
    const children = childrenOf(up.pid)
    const { signal } = await up.end('SIGKILL')
    expect(signal).toBe('SIGKILL')
    await eventually(() => !children.some(isRunning), {
      what: 'the nodes of a killed parent end by themselves',
      deadlineMs: 10_000,
    })
  }, 40_000)

  test('--fresh removes it, and nothing else; a second signal ends at once', async () => {
    const notes = join(cwd, '.skein', 'notes.txt')
    writeFileSync(notes, 'mine')
    up = startUp('--fresh', '--vehicles', '1', '--rate', '50')
    const rows = await eventually(async () => (await countAll()) || false, {
      what: 'the new run is stored',
      deadlineMs: 2e4,
      everyMs: 50,
    })
    const sources = (await ask('latest', '-s', 'vehicle.motion'))!.map(({ source }) => source)
    expect(sources).toEqual(['VH001'])
    expect(rows).toBeGreaterThan(0)
    expect(readFileSync(notes, 'utf8')).toBe('mine')
    const children = childrenOf(up.pid)
    up.child.kill('SIGINT')
    const { code } = await up.end('SIGTERM')
    expect(code).toBe(130)
    await eventually(() => !children.some(isRunning), { deadlineMs: 2_000 })
  }, 40_000)
})
