// What a publisher of a node has to say that no call returns: it must reach the node's log.
import type * as Fs from 'node:fs'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { eventually } from '../mesh/conformance/eventually.ts'
import { meshIdentity, Session, systemClock, systemRandom } from '../mesh/index.ts'
import { createMemoryNetwork } from '../mesh/transports/memory-network.ts'
import { loadConfig, parseOverride } from './index.ts'
import { openPublisher } from './publishing.ts'

const disk = vi.hoisted(() => ({ fails: false }))

vi.mock('node:fs', async (original) => {
  const actual = await original<typeof Fs>()
  return {
    ...actual,
    fdatasync: (fd: number, callback: (error: Error | null) => void) => {
      if (disk.fails) setImmediate(() => callback(new Error('EIO: i/o error, fdatasync')))
      else actual.fdatasync(fd, callback)
    },
  }
})

const STREAM = 'test.unfit'
let cwd: string
let session: Session
let warnings: string[]

beforeEach(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'skein-publishing-'))
  warnings = []
  disk.fails = false
  const mesh = meshIdentity('skein', 2, 2)
  const network = createMemoryNetwork({ clock: systemClock, random: systemRandom })
  const transport = network.transport({ meshId: mesh.id, endpoint: false })
  session = new Session({ mesh, transport, clock: systemClock, random: systemRandom, seeds: [] })
  await session.open()
})
afterEach(async () => {
  await session.close()
  rmSync(cwd, { recursive: true, force: true })
})

const open = (...settings: string[]): ReturnType<typeof openPublisher> => {
  const { config } = loadConfig({
    cwd,
    env: {},
    overrides: settings.map((text) => parseOverride(text)),
  })
  const onWarning = (message: string): void => void warnings.push(message)
  return openPublisher(session, config, { outboxName: 'test', onWarning })
}

test('a sample that no frame can hold is told of, and not each one', async () => {
  const publisher = await open('publisher.codec=json')
  for (let n = 1; n <= 3; n++) {
    // A control character takes six bytes in JSON.
    const fields = { text: '\u0001'.repeat(400_000) }
    publisher.publish(STREAM, 'S1', { timeUs: n, fields })
  }
  await eventually(() => publisher.counters.samplesUnfit === 3)
  expect(warnings).toEqual([
    expect.stringMatching(
      /^sample of test\.unfit \(S1, time 1 µs\) was accepted and is given up: /,
    ),
  ])
  await publisher.close({ drainMs: 0 })
})

test('an outbox that cannot be synced any more is told of, and what to do', async () => {
  const publisher = await open('publisher.outbox.disk=64MiB')
  disk.fails = true
  publisher.publish(STREAM, 'S1', { timeUs: 1, fields: { n: 1 } })
  await eventually(() => warnings.length > 0)
  expect(warnings).toEqual([
    expect.stringMatching(
      /^MESH_OUTBOX_WRITE_FAILED: outbox .*test cannot be synced \(EIO: .*\): nothing more is accepted until/,
    ),
  ])
  await publisher.close({ drainMs: 0 })
})
