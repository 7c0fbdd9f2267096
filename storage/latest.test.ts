import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { newestOf, type Frame, type IndexedSample } from '../mesh/index.ts'
import { MemoryStore } from './conformance/memory-store.ts'
import { EPOCHS, START_US, testFrame } from './conformance/test-frames.ts'
import { Latest } from './latest.ts'
import { openLevelStore } from './level/level-store.ts'

let decoded = 0

/** Bodies of these tests are lists of times. */
function newest(frame: Frame): IndexedSample | undefined {
  decoded += 1
  const text = frame.body.toString('utf8')
  if (!text.startsWith('[')) return undefined
  return newestOf((JSON.parse(text) as number[]).map((timeUs, i) => ({ timeUs, fields: { i } })))
}

function frameOf(times: readonly number[], of: Parameters<typeof testFrame>[0] = {}) {
  return testFrame({
    ...of,
    firstUs: Math.min(...times),
    lastUs: Math.max(...times),
    count: times.length,
    body: JSON.stringify(times),
  })
}

test('get - the newest sample by event time, however late others arrive', () => {
  const latest = new Latest({ newest })
  latest.update([frameOf([10, 30, 20])])
  latest.update([frameOf([5, 29], { sequence: 2 }), frameOf([1], { source: 'other' })])
  expect(latest.get('vehicle.motion', 'VH001')).toEqual({
    timeUs: 30,
    source: 'VH001',
    epoch: EPOCHS[0],
    sequence: 1,
    index: 1,
    fields: { i: 1 },
  })
  expect([...latest.streams()]).toEqual(['vehicle.motion'])
  expect([...latest.sources('vehicle.motion')]).toEqual(['VH001', 'other'])
  expect(latest.get('vehicle.motion', 'nobody')).toBeUndefined()
  expect(latest.get('nothing', 'VH001')).toBeUndefined()
})

test('get - a tie goes to the later epoch, then the later sequence, then the later sample', () => {
  const frames = [
    frameOf([7], { epoch: EPOCHS[1]!, sequence: 1 }),
    frameOf([7, 7], { epoch: EPOCHS[1]!, sequence: 2 }),
    frameOf([7], { epoch: EPOCHS[0]!, sequence: 9 }),
  ]
  for (const order of [frames, frames.toReversed()]) {
    const latest = new Latest({ newest })
    for (const frame of order) latest.update([frame])
    expect(latest.get('vehicle.motion', 'VH001')).toMatchObject({
      epoch: EPOCHS[1],
      sequence: 2,
      index: 1,
    })
  }
})

test('update - decodes nothing, and get decodes once', () => {
  const latest = new Latest({ newest })
  decoded = 0
  for (let i = 1; i < 100; i++) latest.update([frameOf([i], { sequence: i })])
  latest.update([testFrame({ sequence: 200, kind: 'end' })])
  expect(decoded).toBe(0)
  latest.get('vehicle.motion', 'VH001')
  expect(latest.get('vehicle.motion', 'VH001')?.timeUs).toBe(99)
  expect(decoded).toBe(1)
})

test('update - keeps its own copy of the bytes', () => {
  const latest = new Latest({ newest })
  const { frame } = frameOf([42])
  latest.update([{ frame }])
  frame.bytes.fill(0)
  expect(latest.get('vehicle.motion', 'VH001')?.timeUs).toBe(42)
})

test('get - what cannot be decoded now is tried again', () => {
  let known = false
  const latest = new Latest({ newest: (frame) => (known ? newest(frame) : undefined) })
  latest.update([frameOf([1])])
  expect(latest.get('vehicle.motion', 'VH001')).toBeUndefined()
  known = true
  expect(latest.get('vehicle.motion', 'VH001')?.timeUs).toBe(1)
})

test('update - beyond its budget it keeps samples in place of frames', () => {
  const latest = new Latest({ newest, bytesMax: 1000 })
  for (let i = 0; i < 50; i++) latest.update([frameOf([i + 1, i], { source: `s${i}` })])
  for (let i = 0; i < 50; i++) {
    expect(latest.get('vehicle.motion', `s${i}`)?.timeUs).toBe(i + 1)
  }
})

test('rebuild - the same table from what the store holds', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-latest-'))
  let store = await openLevelStore({ directory })
  const frames = [
    frameOf([START_US + 5, START_US + 9]),
    frameOf([START_US + 7], { sequence: 2 }),
    frameOf([START_US + 8], { epoch: EPOCHS[1]! }),
    frameOf([START_US + 1], { source: 'other', epoch: EPOCHS[1]! }),
    testFrame({ sequence: 3, kind: 'end' }),
  ]
  await store.append(frames)
  await store.close()
  store = await openLevelStore({ directory })
  const updated = new Latest({ newest })
  updated.update(frames)
  const rebuilt = new Latest({ newest })
  await rebuilt.rebuild(store)
  await store.close()
  for (const source of ['VH001', 'other']) {
    expect(rebuilt.get('vehicle.motion', source)).toEqual(updated.get('vehicle.motion', source))
  }
  expect(rebuilt.get('vehicle.motion', 'VH001')?.timeUs).toBe(START_US + 9)
  fs.rmSync(directory, { recursive: true })
})

test('rebuild - where the newest frame of a lane is damaged, the newest before it', async () => {
  const store = new MemoryStore()
  const frames = [
    frameOf([START_US + 5], { sequence: 1 }),
    frameOf([START_US + 8], { sequence: 2 }),
    frameOf([START_US + 7], { sequence: 3 }),
    frameOf([START_US + 9], { sequence: 4 }),
    frameOf([START_US + 6], { epoch: EPOCHS[1]! }),
  ]
  await store.append(frames)
  const [first, other] = [...store.lanes()]
  store.spoil(first!.key, 4)
  const latest = new Latest({ newest })
  await latest.rebuild({
    newest: () => [
      { lane: first!, lastUs: START_US + 9, sequence: 4 },
      { lane: other!, lastUs: START_US + 6, sequence: 1 },
    ],
    read: (key, from, to) => store.read(key, from, to),
  })
  expect(latest.get('vehicle.motion', 'VH001')?.timeUs).toBe(START_US + 8)
})
