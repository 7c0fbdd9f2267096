// `npm run systems` as it is typed, on a cache folder of the test's own that borrows the installed server.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { eventually } from '../mesh/conformance/eventually.ts'
import type { Claim } from './claim.ts'
import { nats } from './nats.ts'
import { installPathOf } from './paths.ts'
import { isAlive } from './process-identity.ts'
import { systemSuite } from './testing.ts'

// Each command is a process; on a busy machine several of them take their time.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

const COMMAND = join(import.meta.dirname, 'systems.ts')
const installed = installPathOf(nats)
let cache: string
let statePath: string

interface Said {
  readonly code: number
  readonly text: string
}

function systems(...words: string[]): Promise<Said> {
  return new Promise((resolve) => {
    const env = { ...process.env, XDG_CACHE_HOME: cache }
    const child = execFile(process.execPath, [COMMAND, ...words], { env }, (_, stdout, stderr) => {
      resolve({ code: child.exitCode ?? -1, text: stdout + stderr })
    })
  })
}

function state(): Claim {
  return JSON.parse(readFileSync(statePath, 'utf8')) as Claim
}

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'skein-systems-'))
  const folder = join(cache, 'skein', 'systems')
  mkdirSync(join(folder, 'run'), { recursive: true })
  symlinkSync(installed, join(folder, `nats-${nats.version}`))
  statePath = join(folder, 'run', 'nats.json')
})

afterEach(async () => {
  await systems('stop', 'nats')
  rmSync(cache, { recursive: true, force: true })
})

systemSuite(
  'nats',
  () => {
    test('start, status, stop', async () => {
      const first = await systems('start', 'nats')
      expect(first.text).toMatch(/^nats 2\.15\.2 runs at nats:\/\/127\.0\.0\.1:\d+ \(pid \d+, /)
      expect(first.code).toBe(0)
      const { pid, address } = state()
      expect((await systems('status')).text).toContain(`runs at ${address} (pid ${pid}`)

      const second = await systems('start', 'nats')
      expect(second.text).toMatch(/^SYSTEM_RUNNING: nats runs at /)
      expect(second.code).toBe(1)

      expect(await systems('stop', 'nats')).toEqual({ code: 0, text: 'stopped nats\n' })
      expect(isAlive(pid)).toBe(false)
      expect((await systems('status')).text).toMatch(/nats .* installed, not running/)
      expect((await systems('status')).text).toMatch(
        /kafka .* not installed: npm run systems -- install kafka/,
      )
      expect(await systems('stop', 'nats')).toEqual({ code: 0, text: 'nats was not running\n' })
    })

    test('one that died - status says so, and it can be started again', async () => {
      await systems('start', 'nats', '--data', join(cache, 'data'))
      const { pid } = state()
      process.kill(pid, 'SIGKILL')
      await eventually(() => !isAlive(pid))
      const { text } = await systems('status')
      expect(text).toContain(
        `ended by itself (it was pid ${pid}); its log is in ${join(cache, 'data')}`,
      )
      const again = await systems('start', 'nats', '--data', join(cache, 'data'))
      expect(again.code).toBe(0)
    })

    test('a process id that was given to another process - is left alone', async () => {
      const claim = { name: 'nats', version: nats.version, pid: process.pid, dataPath: cache }
      writeFileSync(statePath, JSON.stringify({ ...claim, identity: 'long ago' }))
      expect((await systems('status')).text).toMatch(/nats .* ended by itself/)
      expect((await systems('stop', 'nats')).text).toBe('nats was not running\n')
    })

    test.each([
      [['start', 'nuts'], /Allowed choices are kafka, nats, zenoh/],
      [['start', 'nats', '--port', '70000'], /a port is a whole number from 1 to 65535/],
    ])('%s - is refused with 2', async (words, expected) => {
      const { code, text } = await systems(...words)
      expect(text).toMatch(expected)
      expect(code).toBe(2)
    })
  },
  'npm run systems',
)
