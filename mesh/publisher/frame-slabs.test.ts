import fc from 'fast-check'
import { expect, it } from 'vitest'
import { FrameSlabs } from './frame-slabs.ts'

const MIB = 1 << 20

it('gives each frame memory of its own until it is released', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ size: fc.integer({ min: 1, max: 100_000 }) }) },
    { weight: 2, arbitrary: fc.record({ release: fc.nat(1_000) }) },
    { weight: 1, arbitrary: fc.record({ move: fc.nat(1_000) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const slabs = new FrameSlabs()
      const frames: { bytes: Buffer; mark: number }[] = []
      for (const [mark, each] of steps.entries()) {
        if ('size' in each) {
          const bytes = slabs.allocate(each.size).fill(mark)
          frames.push({ bytes, mark })
        } else if (frames.length > 0 && 'release' in each) {
          const [gone] = frames.splice(each.release % frames.length, 1)
          slabs.release(gone!.bytes)
        } else if (frames.length > 0 && 'move' in each) {
          const frame = frames[each.move % frames.length]!
          frame.bytes = slabs.moved(frame.bytes)
        }
      }
      for (const { bytes, mark } of frames) {
        expect(bytes.every((byte) => byte === (mark & 0xff))).toBe(true)
      }
    }),
  )
})

it('uses the memory of frames that are gone again', () => {
  const slabs = new FrameSlabs()
  for (let round = 0; round < 100; round++) {
    const frames = Array.from({ length: 1_000 }, () => slabs.allocate(5_000))
    for (const frame of frames) slabs.release(frame)
  }
  expect(slabs.bytes).toBeLessThan(8 * MIB)
})

it('is as small as its frames again once those that stay have moved', () => {
  const slabs = new FrameSlabs()
  let stayed: Buffer[] = []
  for (let i = 0; i < 1_000_000; i++) {
    const frame = slabs.allocate(100)
    if (i % 1_000 === 0) stayed.push(frame.fill(i / 1_000))
    else slabs.release(frame)
  }
  expect(slabs.isSparse).toBe(true)
  stayed = stayed.map((frame) => slabs.moved(frame))
  expect(slabs.isSparse).toBe(false)
  expect(slabs.bytes).toBeLessThan(20 * MIB)
  for (const [i, frame] of stayed.entries()) expect(frame).toEqual(Buffer.alloc(100, i))
})

it('has nothing to do with memory of others', () => {
  const slabs = new FrameSlabs()
  const other = Buffer.alloc(100)
  slabs.release(other)
  expect(slabs.moved(other)).toBe(other)
  expect(slabs.bytes).toBe(0)
})
