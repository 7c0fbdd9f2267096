import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { frameName } from '../../mesh/frame.ts'
import { openFrame } from '../../mesh/index.ts'
import { Frames } from './frames.ts'
import { PAYLOAD_OF, payloadFrames } from './payloads.ts'

const directory = mkdtempSync(join(tmpdir(), 'skein-bench-frames-'))
afterAll(() => rmSync(directory, { recursive: true }))

const SOURCES = 3
const seeded = { sources: SOURCES, seed: 1 }
const pathOf = (name: string): string => join(directory, name)

test('what is repeated is whole frames of other names, a sequence without gaps for each source', () => {
  const set = payloadFrames(pathOf('repeated'), PAYLOAD_OF.frames, seeded, { bytes: 18 << 20 })
  expect(set.repeats).toBeGreaterThan(1)
  const frames = new Frames(set)
  expect(frames.count).toBe(set.frames)
  const sequences = Array.from({ length: SOURCES }, () => 0)
  let bytes = 0
  for (let i = 0; i < frames.count; i++) {
    const frame = frames.frame(i, 0)
    bytes += frame.length
    const source = frames.sourceOf(i)
    sequences[source]! += 1
    expect(frameName(frame).sequence).toBe(sequences[source])
    // It throws when the CRC is wrong.
    if (i % 1_000 === 0) expect(openFrame(frame).source).toBe(set.sources[source])
  }
  expect(bytes).toBe(set.bytes)
})

test('a pass after the set goes on where it ended, and says what it takes', () => {
  const set = payloadFrames(pathOf('passes'), PAYLOAD_OF.samples, seeded, { framesEach: 5 })
  const frames = new Frames(set)
  expect([set.repeats, set.frames]).toEqual([1, 5 * SOURCES])
  const again = openFrame(frames.frame(4, 2))
  expect([again.source, again.sequence]).toEqual([set.sources[1], 12])
  const lane = frameName(frames.frame(4, 0)).key
  expect(frames.bytesOfEach(lane, 2, 2)).toEqual([frames.bytesOf(4)])
  expect(frames.bytesOfEach(lane, 7, 7)).toEqual([frames.bytesOf(4)])
  expect(frames.bytesOfEach(lane, 1, 10)).toHaveLength(10)
})
