// A failed fdatasync: after it nobody knows what is on disk, so nothing more is accepted.
import type * as Fs from 'node:fs'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { MeshError } from '../errors.ts'
import { OutboxLog } from './log.ts'
import {
  frameOf,
  ManualClock,
  MESH,
  reading,
  segmentNames,
  tempDirectory,
} from './testing/support.ts'

const disk = vi.hoisted(() => ({ fails: false, syncs: 0 }))

vi.mock('node:fs', async (original) => {
  const actual = await original<typeof Fs>()
  return {
    ...actual,
    fdatasync: (fd: number, callback: (error: Error | null) => void) => {
      disk.syncs += 1
      if (disk.fails) setImmediate(() => callback(new Error('EIO: i/o error, fdatasync')))
      else actual.fdatasync(fd, callback)
    },
  }
})

let root: string
beforeAll(() => {
  root = tempDirectory()
})
afterAll(() => rmSync(root, { recursive: true }))

test('after a failed fdatasync appends throw, and nothing is deleted or retried', async () => {
  const clock = new ManualClock()
  const told: MeshError[] = []
  const directory = join(root, 'failing')
  const onSyncError = (error: MeshError): void => void told.push(error)
  const options = { directory, meshId: MESH, clock, segmentBytes: 1000 }
  const log = await OutboxLog.open({ ...options, onSyncError })
  for (let i = 1; i <= 5; i++) log.done(log.appendSeal(frameOf(i, [], 800), []))
  const kept = log.appendSeal(frameOf(6, []), [])
  const segments = segmentNames(directory)
  disk.fails = true
  const failed = { code: 'MESH_OUTBOX_WRITE_FAILED', retryable: false }
  clock.fire()
  await expect(log.sync()).rejects.toMatchObject(failed)
  expect(told).toHaveLength(1)
  expect(told[0]).toMatchObject(failed)
  disk.fails = false
  const { syncs } = disk
  expect(() => log.appendSample('s', 'x', reading(1))).toThrow(told[0])
  expect(() => log.appendSeal(frameOf(7, []), [])).toThrow(told[0])
  await expect(log.sync()).rejects.toBe(told[0])
  expect(disk.syncs).toBe(syncs)
  expect(segmentNames(directory)).toEqual(segments)
  expect(log.read(kept).equals(frameOf(6, []))).toBe(true)
  await log.close()
  expect(told).toHaveLength(1)
  const next = await OutboxLog.open(options)
  expect(next.recovered.frames.map(({ position }) => position)).toContain(kept)
  await next.close()
})

test('close reports a sync that fails in it, and releases the directory all the same', async () => {
  const options = { directory: join(root, 'closing'), meshId: MESH, clock: new ManualClock() }
  const log = await OutboxLog.open(options)
  log.appendSample('s', 'x', reading(1))
  disk.fails = true
  await expect(log.close()).rejects.toMatchObject({ code: 'MESH_OUTBOX_WRITE_FAILED' })
  disk.fails = false
  await (await OutboxLog.open(options)).close()
})

test('open fails when what it relies on cannot be synced', async () => {
  const options = { directory: join(root, 'opening'), meshId: MESH, clock: new ManualClock() }
  disk.fails = true
  await expect(OutboxLog.open(options)).rejects.toMatchObject({ code: 'MESH_OUTBOX_WRITE_FAILED' })
  disk.fails = false
  await (await OutboxLog.open(options)).close()
})
