import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Epoch } from '../names.ts'
import { compileSchema, inferSchema } from '../schema.ts'
import { type FramePosition, OutboxLog, type OutboxLogOptions } from './log.ts'
import {
  copySegments,
  EPOCH,
  frameOf,
  frozenClock,
  ManualClock,
  MESH,
  OTHER_MESH,
  reading,
  segmentNames,
  tempDirectory,
} from './testing/support.ts'

let root: string
let directory: string
let crashed: string
const opened: OutboxLog[] = []

beforeEach(() => {
  root = tempDirectory()
  directory = join(root, 'outbox', 'deep')
  crashed = join(root, 'crashed')
})

afterEach(async () => {
  await Promise.allSettled(opened.splice(0).map((log) => log.close()))
  rmSync(root, { recursive: true })
})

async function open(options: Partial<OutboxLogOptions> = {}): Promise<OutboxLog> {
  const log = await OutboxLog.open({ directory, meshId: MESH, clock: frozenClock, ...options })
  opened.push(log)
  return log
}

/** Opens a copy of what is on disk now, as the next life after kill -9 would. */
function openCrashed(options: Partial<OutboxLogOptions> = {}): Promise<OutboxLog> {
  copySegments(directory, crashed)
  return open({ directory: crashed, ...options })
}

function append(log: OutboxLog, ...numbers: number[]): number[] {
  return numbers.map((n) => log.appendSample('vehicle.motion', 'VH001', reading(n)))
}

function sampleNumbers(log: OutboxLog): unknown[] {
  return log.recovered.samples.map(({ sample }) => sample.fields['n'])
}

function framePositions(log: OutboxLog): FramePosition[] {
  return log.recovered.frames.map(({ position }) => position)
}

function newestPath(at: string): string {
  return join(at, segmentNames(at).at(-1)!)
}

test('a new log is empty and gives ordinals and positions from 1', async () => {
  const log = await open()
  const nothing = { frames: [], samples: [], lanes: [], tornBytes: 0, damagedRecords: 0 }
  expect(log.recovered).toEqual(nothing)
  expect(append(log, 10, 11)).toEqual([1, 2])
  expect(log.appendSamples([])).toBe(3)
  const input = { stream: 'vehicle.motion', source: 'VH001', sample: reading(1) }
  expect(log.appendSamples([input, input])).toBe(3)
  expect(log.appendSeal(frameOf(1, []), [])).toBe(1)
  expect(append(log, 12)).toEqual([5])
})

test('after a crash an accepted sample is recovered, or sealed, or gone with a frame that is done', async () => {
  const log = await open()
  append(log, 1, 2, 3, 4, 5, 6)
  const first = log.appendSeal(frameOf(1, [1, 3]), [3, 1])
  const second = log.appendSeal(frameOf(2, [2]), { from: 2, to: 2 })
  log.done(first)
  log.dropSamples([5])
  await log.sync()
  const next = await openCrashed()
  expect(sampleNumbers(next)).toEqual([4, 6])
  expect(next.recovered.samples[0]).toEqual({
    ordinal: 4,
    stream: 'vehicle.motion',
    source: 'VH001',
    sample: reading(4),
  })
  expect(framePositions(next)).toEqual([second])
  const { frame } = next.recovered.frames[0]!
  expect(frame.bytes.equals(frameOf(2, [2]))).toBe(true)
  expect(frame.body.toString()).toBe('[2]')
  expect(frame).toMatchObject({ source: 'VH001', epoch: EPOCH, sequence: 2, kind: 'data' })
})

test('the next life seals recovered samples into the same log, and numbers go on', async () => {
  const log = await open()
  append(log, 1, 2)
  const next = await openCrashed()
  expect(append(next, 3)).toEqual([3])
  const position = next.appendSeal(frameOf(1, [1, 2]), { from: 1, to: 2 })
  expect(position).toBe(1)
  await next.close()
  const last = await open({ directory: crashed })
  expect(framePositions(last)).toEqual([position])
  expect(sampleNumbers(last)).toEqual([3])
})

test('what is done, dropped or sealed stays so after a clean close', async () => {
  const log = await open()
  append(log, 1, 2, 3)
  const done = log.appendSeal(frameOf(1, [1]), [1])
  log.appendSeal(frameOf(2, [2]), [2])
  await log.sync()
  log.done(done)
  log.dropSamples([3, 99])
  await log.close()
  const next = await open()
  expect(framePositions(next)).toEqual([2])
  expect(next.recovered.samples).toEqual([])
})

test('a sample is sealed at most once', async () => {
  const log = await open()
  append(log, 1, 2, 3)
  log.appendSeal(frameOf(1, [1]), [1])
  expect(() => log.appendSeal(frameOf(2, [1, 2]), [1, 2])).toThrow(RangeError)
  expect(() => log.appendSeal(frameOf(2, [4]), { from: 2, to: 4 })).toThrow(RangeError)
  log.dropSamples([2])
  expect(() => log.appendSeal(frameOf(2, [2]), [2])).toThrow(RangeError)
  expect(log.appendSeal(frameOf(2, [3]), [3])).toBe(2)
})

test('read gives the exact bytes until the frame is done', async () => {
  const log = await open({ segmentBytes: 400 })
  const frames = Array.from({ length: 20 }, (_, i) => frameOf(i + 1, [i], i * 10))
  const positions = frames.map((frame) => log.appendSeal(frame, []))
  await log.sync()
  positions.forEach((position, i) => expect(log.read(position).equals(frames[i]!)).toBe(true))
  log.done(positions[3]!)
  expect(() => log.read(positions[3]!)).toThrow(RangeError)
})

test('read reports bytes damaged on disk', async () => {
  const log = await open()
  const position = log.appendSeal(frameOf(1, [1, 2, 3]), [])
  const path = newestPath(directory)
  const bytes = readFileSync(path)
  bytes[bytes.length - 1]! ^= 0x10
  writeFileSync(path, bytes)
  expect(() => log.read(position)).toThrow(expect.objectContaining({ code: 'MESH_OUTBOX_DAMAGED' }))
})

test('an invalid sample is refused and leaves no trace', async () => {
  const log = await open()
  const bad = { timeUs: 1, fields: { a: null as unknown as number } }
  const invalid = expect.objectContaining({ code: 'MESH_SAMPLE_INVALID' })
  expect(() => log.appendSample('s', 'x', bad)).toThrow(invalid)
  expect(() => log.appendSample('s', 'x', { timeUs: -1, fields: {} })).toThrow(invalid)
  const big = { timeUs: 1, fields: { text: 'x'.repeat(1 << 20) } }
  expect(() => log.appendSample('s', 'x', big)).toThrow(
    expect.objectContaining({ code: 'MESH_FRAME_TOO_LARGE' }),
  )
  expect(append(log, 1)).toEqual([1])
  expect(sampleNumbers(await openCrashed())).toEqual([1])
})

test('a torn tail is cut, at any byte of it, and is no damage to the life after', async () => {
  const log = await open()
  append(log, 1)
  const whole = readFileSync(newestPath(directory)).length
  append(log, 2)
  const end = readFileSync(newestPath(directory)).length
  for (let size = whole; size < end; size += 5) {
    copySegments(directory, crashed)
    truncateSync(newestPath(crashed), size)
    // So small that the sample is not moved and its segment stays.
    const next = await open({ directory: crashed, segmentBytes: 100 })
    expect(sampleNumbers(next)).toEqual([1])
    expect(next.recovered).toMatchObject({ tornBytes: size - whole, damagedRecords: 0 })
    await next.close()
    const again = await open({ directory: crashed, segmentBytes: 100 })
    expect(segmentNames(crashed)).toHaveLength(2)
    expect(again.recovered).toMatchObject({ tornBytes: 0, damagedRecords: 0 })
    await again.close()
  }
})

test('an ordinal of which only the seal is left is not given again', async () => {
  const log = await open()
  const at = readFileSync(newestPath(directory)).length
  append(log, 1)
  log.appendSeal(frameOf(1, [1]), [1])
  copySegments(directory, crashed)
  const bytes = readFileSync(newestPath(crashed))
  bytes[at + 12]! ^= 1
  writeFileSync(newestPath(crashed), bytes)
  const next = await open({ directory: crashed })
  expect(next.recovered).toMatchObject({ samples: [], damagedRecords: 1 })
  expect(append(next, 2)).toEqual([2])
})

test('a tail of zeros, as a power cut may leave it, is torn', async () => {
  const log = await open()
  append(log, 1)
  copySegments(directory, crashed)
  writeFileSync(newestPath(crashed), Buffer.alloc(500), { flag: 'a' })
  const next = await open({ directory: crashed, bootId: 'another' })
  expect(sampleNumbers(next)).toEqual([1])
  expect(next.recovered).toMatchObject({ tornBytes: 500, damagedRecords: 0 })
})

test('a tail of zeros on a system that still runs is damage: no dying process leaves it', async () => {
  const log = await open()
  log.appendSeal(frameOf(1, [1]), [])
  copySegments(directory, crashed)
  writeFileSync(newestPath(crashed), Buffer.alloc(500), { flag: 'a' })
  const next = await open({ directory: crashed })
  expect(framePositions(next)).toEqual([1])
  expect(next.recovered).toMatchObject({ tornBytes: 0, damagedRecords: 1 })
  expect(next.recovered.lanes).toMatchObject([{ lastSequence: 1, uncertain: true }])
})

test('a bad record with valid ones after it is skipped and counted', async () => {
  const log = await open()
  append(log, 1, 2)
  const at = readFileSync(newestPath(directory)).length
  append(log, 3, 4)
  copySegments(directory, crashed)
  const bytes = readFileSync(newestPath(crashed))
  bytes[at + 20]! ^= 1
  writeFileSync(newestPath(crashed), bytes)
  const next = await open({ directory: crashed })
  expect(sampleNumbers(next)).toEqual([1, 2, 4])
  expect(next.recovered).toMatchObject({ tornBytes: 0, damagedRecords: 1 })
  expect(append(next, 5)).toEqual([5])
})

test('a segment is deleted when nothing in it is live, wherever it is', async () => {
  const log = await open({ segmentBytes: 1000 })
  const positions = Array.from({ length: 8 }, (_, i) => log.appendSeal(frameOf(i + 1, [], 700), []))
  expect(segmentNames(directory)).toHaveLength(8)
  for (const position of positions.slice(2, 6)) log.done(position)
  await log.sync()
  expect(segmentNames(directory)).toHaveLength(4)
  const next = await openCrashed({ segmentBytes: 1000 })
  expect(framePositions(next)).toEqual([1, 2, 7, 8])
  for (const position of [0, 1, 6, 7]) log.done(positions[position]!)
  await log.sync()
  expect(segmentNames(directory)).toHaveLength(1)
  expect(log.diskBytes).toBeLessThan(100)
})

test('a sample stays consumed when the segment with its seal is deleted before its own', async () => {
  const log = await open({ segmentBytes: 1000 })
  append(log, 1)
  log.appendSeal(frameOf(1, [], 600), [])
  const position = log.appendSeal(frameOf(2, [1], 900), [1])
  log.appendSeal(frameOf(3, [], 900), [])
  log.done(position)
  await log.sync()
  expect(segmentNames(directory).map((name) => name.at(-5))).toEqual(['1', '3', '4'])
  const next = await openCrashed()
  expect(next.recovered.samples).toEqual([])
  expect(framePositions(next)).toEqual([1, 3])
})

test('a few live records do not pin a segment: they move to the newest, and are there once', async () => {
  const log = await open({ segmentBytes: 4000 })
  append(log, 1)
  const kept = log.appendSeal(frameOf(1, [7], 100), [])
  for (let i = 2; i < 30; i++) log.done(log.appendSeal(frameOf(i, [], 900), []))
  await log.sync()
  const moved = await openCrashed()
  expect(sampleNumbers(moved)).toEqual([1])
  expect(framePositions(moved)).toEqual([kept])
  await log.sync()
  expect(segmentNames(directory)).toHaveLength(1)
  expect(log.read(kept).equals(frameOf(1, [7], 100))).toBe(true)
  await log.close()
  const next = await open()
  expect(sampleNumbers(next)).toEqual([1])
  expect(framePositions(next)).toEqual([kept])
})

test('records half moved when a crash came are there once', async () => {
  const log = await open({ segmentBytes: 4000 })
  append(log, 1, 2, 3)
  for (let i = 1; i < 9; i++) log.done(log.appendSeal(frameOf(i, [], 900), []))
  const before = readFileSync(newestPath(directory)).length
  await log.sync()
  const after = readFileSync(newestPath(directory)).length
  expect(after).toBeGreaterThan(before)
  for (let size = before; size <= after; size += 7) {
    copySegments(directory, crashed)
    truncateSync(newestPath(crashed), size)
    const next = await open({ directory: crashed })
    expect(sampleNumbers(next)).toEqual([1, 2, 3])
    await next.close()
  }
})

test('many lives with a small backlog do not pile up files', async () => {
  for (let life = 1; life <= 10; life++) {
    const log = await open()
    log.appendSeal(frameOf(life, [life]), [])
    await log.close()
  }
  expect(segmentNames(directory).length).toBeLessThan(4)
  const log = await open()
  expect(framePositions(log)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
})

test('the background sync runs on the clock, once per change', async () => {
  const clock = new ManualClock()
  const log = await open({ clock, segmentBytes: 4000 })
  clock.fire()
  await log.sync()
  expect(clock.waiting).toBe(0)
  for (let i = 1; i < 6; i++) log.done(log.appendSeal(frameOf(i, [], 900), []))
  expect(clock.waiting).toBe(1)
  clock.fire()
  await log.sync()
  expect(segmentNames(directory)).toHaveLength(1)
})

test('the log of another mesh is refused and left as it is', async () => {
  await (await open()).close()
  const before = segmentNames(directory)
  await expect(open({ meshId: OTHER_MESH })).rejects.toMatchObject({ code: 'MESH_MISMATCH' })
  expect(segmentNames(directory)).toEqual(before)
  await (await open()).close()
})

test('a log of another format version is refused and left as it is', async () => {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, `outbox-${MESH}-0000000001.log`)
  writeFileSync(path, 'SKOUTBX2 and what follows')
  await expect(open()).rejects.toMatchObject({ code: 'MESH_OUTBOX_DAMAGED' })
  expect(readFileSync(path, 'utf8')).toBe('SKOUTBX2 and what follows')
})

test('one log at a time: a second open fails until the first is closed', async () => {
  const log = await open()
  await expect(open()).rejects.toMatchObject({ code: 'MESH_OUTBOX_IN_USE', retryable: true })
  await log.close()
  await open()
})

test('a closed log refuses appends, and closing again does nothing', async () => {
  const log = await open()
  append(log, 1)
  const position = log.appendSeal(frameOf(1, []), [])
  await log.close()
  await log.close()
  expect(() => append(log, 2)).toThrow(
    expect.objectContaining({ code: 'MESH_OUTBOX_WRITE_FAILED' }),
  )
  log.done(position)
  await log.sync()
  expect(framePositions(await open())).toEqual([position])
})

test('recovered lists can be let go', async () => {
  const log = await open()
  append(log, 1)
  const next = await openCrashed()
  next.forgetRecovered()
  expect(next.recovered.samples).toEqual([])
  next.appendSeal(frameOf(1, [1]), [1])
})

test('segmentBytes out of range is a wrong argument', async () => {
  await expect(open({ segmentBytes: 0 })).rejects.toThrow(RangeError)
})

/** Source, last sequence, and what else is to be said of it. */
function lanes(log: OutboxLog): string[] {
  return log.recovered.lanes.map(
    ({ source, lastSequence, ended, uncertain }) =>
      `${source} ${lastSequence}${ended ? ' ended' : ''}${uncertain ? ' uncertain' : ''}`,
  )
}

const endFrame = (sequence: number, source: string): Buffer =>
  frameOf(sequence, [], 0, { kind: 'end', codec: 'none', source })

test('a lane is known by its last sequence when its frames and segments are gone', async () => {
  const log = await open({ segmentBytes: 1000 })
  for (let i = 1; i <= 9; i++) {
    log.done(log.appendSeal(frameOf(i, [], 700, { source: i % 2 === 0 ? 'even' : 'odd' }), []))
  }
  await log.sync()
  expect(segmentNames(directory)).toHaveLength(1)
  const next = await openCrashed()
  expect(lanes(next)).toEqual(['odd 9', 'even 8'])
  expect(next.recovered.lanes[0]).toMatchObject({ stream: 'vehicle.motion', epoch: EPOCH })
  await next.close()
  // And by the life after that, which has sealed nothing in it.
  expect(lanes(await open({ directory: crashed }))).toEqual(['odd 9', 'even 8'])
})

test('what a later life seals in an old lane counts', async () => {
  await (await open()).close()
  const first = await open()
  const positions = [1, 2].map((i) => first.appendSeal(frameOf(i, []), []))
  const second = await openCrashed()
  positions.push(second.appendSeal(frameOf(3, [], 0, { kind: 'skip' }), []))
  second.appendSeal(frameOf(1, [], 0, { epoch: '0190000000005678' as Epoch }), [])
  await second.close()
  const third = await open({ directory: crashed })
  expect(lanes(third)).toEqual(['VH001 3', 'VH001 1'])
  positions.push(third.appendSeal(endFrame(4, 'VH001'), []))
  await third.close()
  const fourth = await open({ directory: crashed })
  expect(lanes(fourth)).toEqual(['VH001 4 ended', 'VH001 1'])
  for (const position of positions) fourth.done(position)
  await fourth.close()
  expect(lanes(await open({ directory: crashed }))).toEqual(['VH001 1'])
})

test('a lane with its end is known as long as one of its frames is live', async () => {
  const log = await open()
  const first = log.appendSeal(frameOf(1, []), [])
  log.done(log.appendSeal(endFrame(2, 'VH001'), []))
  await log.sync()
  const next = await openCrashed()
  expect(lanes(next)).toEqual(['VH001 2 ended'])
  log.done(first)
  await log.sync()
  await next.close()
  expect(lanes(await openCrashed())).toEqual([])
})

test('after a reboot lanes are uncertain, unless they have their end or the log was closed', async () => {
  const log = await open({ bootId: 'a' })
  log.appendSeal(frameOf(1, [], 0, { source: 'open' }), [])
  log.done(log.appendSeal(frameOf(1, [], 0, { source: 'gone' }), []))
  log.appendSeal(endFrame(1, 'ended'), [])
  await log.sync()
  const same = await openCrashed({ bootId: 'a' })
  expect(lanes(same)).toEqual(['open 1', 'gone 1', 'ended 1 ended'])
  await same.close()
  const closed = await open({ directory: crashed, bootId: 'b' })
  expect(lanes(closed)).toEqual(['open 1', 'gone 1', 'ended 1 ended'])
  // The mark of the clean close is gone as soon as the log is open again.
  const cut = join(root, 'cut')
  copySegments(crashed, cut)
  expect(lanes(await open({ directory: cut, bootId: 'c' }))).toEqual([
    'open 1 uncertain',
    'ended 1 ended',
  ])
})

test('a system that cannot be told from another is taken for another', async () => {
  const log = await open({ bootId: '' })
  log.appendSeal(frameOf(1, []), [])
  expect(lanes(await openCrashed({ bootId: '' }))).toEqual(['VH001 1 uncertain'])
})

test('uncertain lanes stay so, and are forgotten with their last frame', async () => {
  const log = await open({ bootId: 'a' })
  const position = log.appendSeal(frameOf(1, []), [])
  const next = await openCrashed({ bootId: 'b' })
  expect(lanes(next)).toEqual(['VH001 1 uncertain'])
  await next.close()
  const last = await open({ directory: crashed, bootId: 'b' })
  expect(lanes(last)).toEqual(['VH001 1 uncertain'])
  last.done(position)
  await last.close()
  expect(lanes(await open({ directory: crashed, bootId: 'b' }))).toEqual([])
})

test('10,000 lanes cost some 40 bytes each in a checkpoint', async () => {
  const log = await open({ segmentBytes: 1 << 20 })
  for (let i = 0; i < 10_000; i++) {
    const source = `vehicle-${String(i).padStart(5, '0')}`
    log.done(log.appendSeal(frameOf(1000 + i, [], 0, { source }), []))
  }
  await log.sync()
  await log.sync()
  expect(log.diskBytes).toBeLessThan(10_000 * 45 + (1 << 20) / 4)
  const next = await openCrashed()
  expect(next.recovered.lanes).toHaveLength(10_000)
  expect(next.recovered.lanes[777]).toMatchObject({ source: 'vehicle-00777', lastSequence: 1777 })
})

test('schemas are there for the lives to come while a frame names them', async () => {
  const schema = compileSchema({ type: 'object', properties: { speed: { type: 'number' } } })
  const unused = inferSchema([reading(1)])
  const log = await open()
  log.appendSchema(schema)
  log.appendSchema(schema)
  log.appendSchema(unused)
  const position = log.appendSeal(frameOf(1, [], 0, { schemaId: schema.id }), [])
  const next = await openCrashed()
  expect(next.schema(schema.id)?.json).toEqual(schema.json)
  expect(next.schema(unused.id)).toBeUndefined()
  next.done(position)
  await next.close()
  const last = await open({ directory: crashed })
  expect(last.schema(schema.id)).toBeUndefined()
  last.appendSchema(schema)
  expect(last.schema(schema.id)?.id).toBe(schema.id)
})

test('a damaged schema is unknown, and written again when it is appended', async () => {
  const schema = inferSchema([reading(1)])
  const log = await open()
  log.appendSchema(schema)
  log.appendSeal(frameOf(1, [], 0, { schemaId: schema.id }), [])
  const path = join(directory, 'schemas', schema.id)
  const bytes = readFileSync(path)
  bytes[bytes.length - 5]! ^= 1
  writeFileSync(path, bytes)
  const next = await openCrashed()
  expect(next.schema(schema.id)).toBeUndefined()
  next.appendSchema(schema)
  expect(next.schema(schema.id)?.id).toBe(schema.id)
})

test('a closed log takes no schema', async () => {
  const log = await open()
  await log.close()
  expect(() => log.appendSchema(inferSchema([reading(1)]))).toThrow(
    expect.objectContaining({ code: 'MESH_OUTBOX_WRITE_FAILED' }),
  )
})
