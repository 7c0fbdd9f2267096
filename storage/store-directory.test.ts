import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeClock } from '../mesh/fake-clock.ts'
import { systemRandom, type MeshId } from '../mesh/index.ts'
import { DurableJson } from './durable-json.ts'
import { openStoreDirectory, type StoreIdentity, type StoreDirectory } from './store-directory.ts'

const MESH = { id: '00112233aabbccdd' as MeshId, name: 'city', replicas: 2, writeQuorum: 2 }

let directory = ''

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-directory-'))
})

afterEach(() => {
  fs.rmSync(directory, { recursive: true })
})

function open(mesh = MESH, shards = 64): Promise<StoreDirectory> {
  return openStoreDirectory({
    directory: path.join(directory, 'data'),
    mesh,
    shards,
    clock: new FakeClock(),
    random: systemRandom,
  })
}

test('a new directory gets a store id, and keeps it', async () => {
  const made = await open()
  expect(made.isNew).toBe(true)
  expect(made.identity).toMatchObject({
    format: 1,
    meshId: MESH.id,
    meshName: 'city',
    replicas: 2,
    writeQuorum: 2,
    shards: 64,
    createdUs: new FakeClock().nowUs(),
  })
  expect(made.identity.storeId).toMatch(/^[0-9a-f]{16}$/)
  await made.close()
  await using again = await open()
  expect(again.isNew).toBe(false)
  expect(again.identity).toEqual(made.identity)
})

test('a directory of another mesh is refused, with both names and what to do', async () => {
  await (await open()).close()
  const other = open({ ...MESH, id: 'ffffffffffffffff' as MeshId, name: 'harbour' })
  await expect(other).rejects.toMatchObject({ code: 'STORE_WRONG_MESH' })
  await expect(other).rejects.toThrow(/"city".*"harbour".*--data.*--fresh/)
})

test('R, W and the number of shards are those the mesh was created with', async () => {
  await (await open()).close()
  await expect(open({ ...MESH, replicas: 3 })).rejects.toThrow(/created with replicas 2, not 3/)
  await expect(open(MESH, 128)).rejects.toThrow(/shards 64, not 128/)
})

test('an unknown format and a damaged store.json are refused', async () => {
  await (await open()).close()
  const file = path.join(directory, 'data/store.json')
  const identity = await new DurableJson<StoreIdentity>(file).load()
  await new DurableJson(file).save({ ...identity, format: 9 })
  await expect(open()).rejects.toMatchObject({ code: 'STORE_FORMAT_UNKNOWN' })
  fs.writeFileSync(file, '{"format":1,')
  await expect(open()).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
})

test('frames without a store.json are nobody’s: no new id is made for them', async () => {
  fs.mkdirSync(path.join(directory, 'data/buckets'), { recursive: true })
  await expect(open()).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
})

test('one user at a time; one that failed to open or was closed does not count', async () => {
  const first = await open()
  await expect(open()).rejects.toMatchObject({ code: 'STORE_IN_USE' })
  await first.close()
  const other = open({ ...MESH, id: 'ffffffffffffffff' as MeshId })
  await expect(other).rejects.toMatchObject({ code: 'STORE_WRONG_MESH' })
  await (await open()).close()
})

test('a killed owner leaves nothing to clean up', async () => {
  const file = path.join(import.meta.dirname, 'directory-lock.ts')
  const code = `import { lockDirectory } from ${JSON.stringify(file)}
    await lockDirectory(process.argv[1]); console.log('locked'); process.stdin.resume()`
  const lock = path.join(directory, 'data/lock')
  await (await open()).close()
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, lock])
  await once(child.stdout, 'data')
  await expect(open()).rejects.toMatchObject({ code: 'STORE_IN_USE' })
  child.kill('SIGKILL')
  await once(child, 'close')
  await (await open()).close()
})

test('DurableJson - loads what was saved last, and a crash between writes leaves the old one', async () => {
  const file = path.join(directory, 'deep/members.json')
  const document = new DurableJson<{ n: number }>(file)
  expect(await document.load()).toBeUndefined()
  await Promise.all([document.save({ n: 1 }), document.save({ n: 2 }), document.save({ n: 3 })])
  expect(await document.load()).toEqual({ n: 3 })
  fs.writeFileSync(`${file}.tmp`, '{"n":')
  expect(await new DurableJson<{ n: number }>(file).load()).toEqual({ n: 3 })
})

test('DurableJson - a save that fails says so and keeps the old document', async () => {
  const file = path.join(directory, 'members.json')
  const document = new DurableJson<{ n: number }>(file)
  await document.save({ n: 1 })
  fs.mkdirSync(`${file}.tmp`)
  await expect(document.save({ n: 2 })).rejects.toMatchObject({ code: 'STORE_WRITE_FAILED' })
  expect(await document.load()).toEqual({ n: 1 })
  fs.rmdirSync(`${file}.tmp`)
  await document.save({ n: 3 })
  expect(await document.load()).toEqual({ n: 3 })
})

test('DurableJson - a changed byte is damage, not another document', async () => {
  const file = path.join(directory, 'n.json')
  await new DurableJson<{ n: number }>(file).save({ n: 1234 })
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('1234', '1235'))
  const load = new DurableJson<{ n: number }>(file).load()
  await expect(load).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
})

test('lives are told apart, whatever the clock says', async () => {
  const store = await open()
  const clock = new FakeClock()
  await clock.advance(3_600_000)
  const ahead = await store.beginLife(clock)
  expect(ahead).toBe(clock.nowUs())
  expect(await store.beginLife(new FakeClock())).toBe(ahead + 1)
  fs.writeFileSync(store.path('life.json'), '{')
  expect(await store.beginLife(new FakeClock())).toBe(new FakeClock().nowUs())
  await store.close()
})

test('a damaged lock is no reason not to start', async () => {
  await (await open()).close()
  const lock = path.join(directory, 'data', 'lock')
  for (const name of fs.readdirSync(lock)) {
    if (name !== 'LOCK') fs.writeFileSync(path.join(lock, name), 'no database')
  }
  await using again = await open()
  expect(again.isNew).toBe(false)
})
