// Nodes as containers run them: started in any order, ended by signals, also as PID 1.
import { spawnSync } from 'node:child_process'
import { afterAll, describe, expect, test } from 'vitest'
import { eventually } from '../mesh/conformance/eventually.ts'
import { childrenOf, onlyJson, Shell, type Command, type Ended } from './harness/command.ts'
import { testMeshName } from './harness/mesh.ts'
import { freeEndpoint } from './harness/ports.ts'

const shell = new Shell()
afterAll(() => shell[Symbol.asyncDispose]())

/** What Docker waits before it kills. */
const STOP_MS = 10_000

/** The command line of a mesh of one store, up to its verb. */
async function meshOf(cwd: string): Promise<{ flags: string[]; seed: string }> {
  const seed = await freeEndpoint()
  const name = testMeshName()
  const settings = [`mesh.name=${name}`, 'mesh.replicas=1', 'mesh.writeQuorum=1']
  const flags = ['--data', cwd, '--seed', seed, ...settings.flatMap((text) => ['--set', text])]
  return { flags, seed }
}

async function endsInTime(command: Command, signal: NodeJS.Signals): Promise<Ended> {
  const startMs = performance.now()
  const ended = await command.end(signal)
  expect(performance.now() - startMs).toBeLessThan(STOP_MS)
  return ended
}

describe.concurrent('nodes', () => {
  test('the start order does not matter, and each ends with 0 on SIGTERM and SIGINT', async () => {
    const cwd = shell.directory()
    const { flags, seed } = await meshOf(cwd)
    const windows = JSON.stringify([
      { name: 'each', stream: 'vehicle.motion', every: '1s', lateness: '0s', fields: ['speed'] },
    ])
    const fleet = shell.start(
      [...flags, '--set', 'up.rate=20', '--set', 'up.vehicles=2', 'node', 'fleet'],
      { cwd },
    )
    const aggregator = shell.start(
      [...flags, '--set', `aggregator.windows=${windows}`, 'node', 'aggregator'],
      { cwd },
    )
    await fleet.says(/fleet is ready: 2 vehicles, 20 samples a second each, as vehicle\.motion/)
    await aggregator.says(/aggregator is ready: vehicle\.motion → vehicle\.motion\.each/)
    const waiting = new RegExp(`warning: 0 of .* stores .* looked for from ${seed}: is .*test-`)
    await Promise.all([fleet.says(waiting), aggregator.says(waiting)])
    const storage = shell.start([...flags, 'node', 'storage', '--bind', seed], { cwd })
    // It founds the mesh: there is nobody to wait for.
    await storage.says(/^storage is ready: store [0-9a-f]{16} at tcp:/m)

    // Whatever was published before there was a store is in it, and so is what was derived from it.
    const rows = await eventually(
      async () => {
        const words = ['query', 'latest', '-s', 'vehicle.motion.each', '--json']
        const { code, stdout } = await shell.run([...flags, ...words], { cwd })
        return code === 0 && stdout.split('\n').length > 3 && stdout
      },
      { what: 'windows of both vehicles are stored', deadlineMs: 20_000, everyMs: 50 },
    )
    expect(rows).toMatch(/"source":"VH001".*\n.*"source":"VH002"/)

    const ends = [
      await endsInTime(fleet, 'SIGTERM'),
      await endsInTime(aggregator, 'SIGINT'),
      await endsInTime(storage, 'SIGTERM'),
    ]
    expect(ends.map(({ code }) => code)).toEqual([0, 0, 0])
    const said = ends.map(({ stderr }) => stderr).join('')
    expect(said.match(/warning/g)).toHaveLength(2)
    expect(said).not.toMatch(/Error|listens/)
  }, 40_000)

  test('no store founds the mesh - each says so, with the seeds it tried and what to set', async () => {
    const cwd = shell.directory()
    const { flags, seed } = await meshOf(cwd)
    const words = [...flags, 'node', 'storage', '--bind', 'tcp://127.0.0.1:0']
    const storage = shell.start(words, { cwd })
    const listens = /^storage listens at tcp:\S+, HTTP at (\S+); waiting for a store at (\S+) to/m
    const [, http, awaited] = listens.exec(await storage.says(listens))!
    expect(awaited).toBe(seed)
    const { reasons } = (await (await fetch(`${http}/healthz`)).json()) as { reasons: string[] }
    const why = `no store answers at ${seed}. If the mesh is new, one store has to found it: `
    expect(reasons[0]).toContain(why)
    expect(reasons[0]).toContain(`--bind ${seed} --seed ${seed}`)
    await storage.says(/warning: no store answers at .*one store has to found it/)
    expect(storage.stderr).not.toMatch(/is ready/)
    const founder = [...flags, 'node', 'storage', '--name', 'founder', '--bind', seed]
    shell.start(founder, { cwd })
    await storage.says(/^storage is ready: store/m)
    expect((await fetch(`${http}/readyz`)).status).toBe(200)
    expect((await endsInTime(storage, 'SIGTERM')).code).toBe(0)
  }, 20_000)

  test('no store, memory outbox - exit code 3, and how many samples', async () => {
    const cwd = shell.directory()
    const { flags } = await meshOf(cwd)
    const fleet = shell.start([...flags, 'node', 'fleet', '--json'], { cwd })
    await fleet.says(/"type":"ready"/)
    const { code, stderr } = await endsInTime(fleet, 'SIGTERM')
    expect(code).toBe(3)
    expect(onlyJson(stderr)['warning']).toMatch(
      /^[1-9]\d* samples? (was|were) not acknowledged by any store: the memory outbox ends with this program/,
    )
  })

  test('no store, disk outbox - exit code 0: what is kept is late, not lost', async () => {
    const cwd = shell.directory()
    const { flags } = await meshOf(cwd)
    const disk = ['--set', 'publisher.outbox.disk=64MiB']
    const fleet = shell.start([...flags, ...disk, 'node', 'fleet', '--json'], { cwd })
    await fleet.says(/"type":"ready"/)
    const { code, stderr } = await endsInTime(fleet, 'SIGINT')
    expect([code, stderr]).toEqual([0, ''])
  })

  test('second signal - ends at once, with 130', async () => {
    const cwd = shell.directory()
    const { flags } = await meshOf(cwd)
    const fleet = shell.start([...flags, 'node', 'fleet'], { cwd })
    await fleet.says(/fleet is ready/)
    fleet.child.kill('SIGTERM')
    await fleet.says(/SIGTERM: draining; a second one ends at once/)
    const startMs = performance.now()
    const { code } = await fleet.end('SIGINT')
    expect(code).toBe(130)
    expect(performance.now() - startMs).toBeLessThan(2_000)
  })
})

describe.concurrent('as PID 1', () => {
  const probe = spawnSync('unshare', ['-fp', '--mount-proc', 'true'])
  const cannot = probe.status !== 0
  if (cannot) console.log('skipped: PID 1 (unshare -fp --mount-proc is not allowed here)')
  const under = ['unshare', '-fp', '--mount-proc']

  test.skipIf(cannot)('a storage peer drains and ends with 0', async () => {
    const cwd = shell.directory()
    const { flags, seed } = await meshOf(cwd)
    const words = [...flags, 'node', 'storage', '--bind', seed]
    const storage = shell.start(words, { cwd, under })
    await storage.says(/storage is ready/)
    expect((await endsInsideInTime(storage, 'SIGTERM')).code).toBe(0)
  })

  test.skipIf(cannot)(
    'up ends its nodes and itself with 0',
    async () => {
      const cwd = shell.directory()
      const { flags } = await meshOf(cwd)
      const words = [...flags, '--json', 'up', '--storage', '1', '--vehicles', '2', '--rate', '20']
      const up = shell.start(words, { cwd, under })
      await eventually(() => isStored(up, flags, cwd), { deadlineMs: 25_000, everyMs: 50 })
      const { code, stdout } = await endsInsideInTime(up, 'SIGTERM')
      expect(code).toBe(0)
      expect(onlyJson(stdout)).toMatchObject({
        complete: true,
        samples: { duplicates: 0, gaps: 0 },
      })
    },
    40_000,
  )
})

async function isStored(up: Command, flags: readonly string[], cwd: string): Promise<boolean> {
  if (!up.isRunning) throw new Error(`up has ended: ${up.stderr}`)
  const words = ['query', 'latest', '-s', 'vehicle.motion', '--json']
  const { code } = await shell.run([...flags, ...words], { cwd })
  return code === 0
}

/** The signal goes to the process that believes to be the first; unshare hands its exit code on. */
async function endsInsideInTime(command: Command, signal: NodeJS.Signals): Promise<Ended> {
  const [first] = childrenOf(command.pid)
  const startMs = performance.now()
  process.kill(first!, signal)
  const ended = await command.ended
  expect(performance.now() - startMs).toBeLessThan(STOP_MS)
  return ended
}
