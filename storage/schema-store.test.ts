import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { compileSchema } from '../mesh/index.ts'
import { openSchemaStore } from './schema-store.ts'

const MOTION = compileSchema({
  type: 'object',
  properties: { speed: { type: 'number', 'x-unit': 'km/h' } },
})
const AIR = compileSchema({ type: 'object', properties: { no2: { type: 'number' } } })

let directory = ''

beforeEach(() => {
  directory = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'skein-schemas-')), 'schemas')
})

afterEach(() => {
  fs.rmSync(path.dirname(directory), { recursive: true })
})

test('put - kept over restarts, and known only once on the disk', async () => {
  const store = await openSchemaStore(directory)
  const put = Promise.all([store.put(MOTION), store.put(MOTION), store.put(AIR)])
  expect(store.has(MOTION.id)).toBe(false)
  await put
  expect(store.get(MOTION.id)).toBe(MOTION)
  expect(fs.existsSync(path.join(directory, `${MOTION.id}.json`))).toBe(true)
  const again = await openSchemaStore(directory)
  expect(again.list().map(({ id }) => id)).toEqual([MOTION.id, AIR.id].sort())
  expect(again.get(MOTION.id)?.json).toEqual(MOTION.json)
  expect(again.get(AIR.id)?.fields).toEqual(['no2'])
})

test('open - a file that is not the schema it is named after is set apart', async () => {
  const store = await openSchemaStore(directory)
  await store.put(MOTION)
  await store.put(AIR)
  const file = path.join(directory, `${AIR.id}.json`)
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('no2', 'no3'))
  fs.writeFileSync(path.join(directory, 'zzz.json'), '{"type":')
  fs.writeFileSync(path.join(directory, '0123456789abcdef.json'), '{"type":')
  const again = await openSchemaStore(directory)
  expect(again.list().map(({ id }) => id)).toEqual([MOTION.id])
  expect(again.damaged.toSorted()).toEqual([AIR.id, '0123456789abcdef'].sort())
  await again.put(AIR)
  expect(again.damaged).toEqual(['0123456789abcdef'])
  expect((await openSchemaStore(directory)).damaged).toEqual(['0123456789abcdef'])
})

test('put - a disk that refuses is said, and the next try counts', async () => {
  const store = await openSchemaStore(directory)
  fs.mkdirSync(path.join(directory, `${AIR.id}.json.tmp`))
  await expect(store.put(AIR)).rejects.toMatchObject({ code: 'STORE_WRITE_FAILED' })
  expect(store.has(AIR.id)).toBe(false)
  fs.rmdirSync(path.join(directory, `${AIR.id}.json.tmp`))
  await store.put(AIR)
  expect(store.has(AIR.id)).toBe(true)
})
