import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { codecFor, compileSchema, FRAME_SPAN_US_MAX, type Sample } from '../../mesh/index.ts'
import { Cutter, type CutFrame } from './cut.ts'
import { dueMs, Pace } from './pace.ts'

interface Row {
  readonly source: string
  readonly sample: Sample
}

// Steps of up to some minutes, forwards and backwards, so that frames close by span as well as by size.
const rowsArbitrary = fc
  .array(
    fc.record({
      source: fc.constantFrom('a', 'b', 'c'),
      stepS: fc.integer({ min: -400, max: 500 }),
      text: fc.string({ maxLength: 8 }),
    }),
    { maxLength: 400 },
  )
  .map((steps) => {
    let timeUs = 1e15
    return steps.map(({ source, stepS, text }, index): Row => {
      timeUs += stepS * 1e6
      return { source, sample: { timeUs, fields: { index, text } } }
    })
  })

function cut(rows: readonly Row[], samplesMax: number): CutFrame[] {
  const cutter = new Cutter({ samplesMax })
  const frames = rows.flatMap((row) => [...cutter.push(row)])
  return [...frames, ...cutter.end()]
}

describe('cut', () => {
  test('frames of a source hold its rows in file order, within the limits, numbered from 1', () => {
    fc.assert(
      fc.property(rowsArbitrary, fc.integer({ min: 1, max: 128 }), (rows, samplesMax) => {
        const frames = cut(rows, samplesMax)
        for (const source of ['a', 'b', 'c']) {
          const own = frames.filter((frame) => frame.source === source)
          const samples = rows.filter((row) => row.source === source).map(({ sample }) => sample)
          expect(own.flatMap((frame) => frame.samples)).toEqual(samples)
          expect(own.map(({ index }) => index)).toEqual(own.map((_, at) => at + 1))
          let latest = 0
          for (const frame of own) {
            const times = frame.samples.map(({ timeUs }) => timeUs)
            latest = Math.max(latest, ...times)
            expect(frame.samples.length).toBeLessThanOrEqual(samplesMax)
            expect(frame.lastUs - frame.firstUs).toBeLessThanOrEqual(FRAME_SPAN_US_MAX)
            expect([frame.firstUs, frame.lastUs]).toEqual([Math.min(...times), Math.max(...times)])
            expect(frame.completedUs).toBe(latest)
          }
        }
      }),
      { numRuns: 60 },
    )
  })

  test('a source is cut the same whatever other sources do', () => {
    fc.assert(
      fc.property(rowsArbitrary, (rows) => {
        const alone = rows.filter(({ source }) => source === 'a')
        expect(cut(rows, 16).filter(({ source }) => source === 'a')).toEqual(cut(alone, 16))
      }),
      { numRuns: 40 },
    )
  })

  test('a frame closes before its text would exceed what a frame can carry', () => {
    const text = '\u0001'.repeat(60_000)
    const rows = Array.from({ length: 5 }, (_, index) => ({
      source: 'a',
      sample: { timeUs: index, fields: { text } },
    }))
    const schema = compileSchema({ type: 'object', properties: { text: { type: 'string' } } })
    for (const { samples } of cut(rows, 128)) {
      const body = codecFor('json').encode(samples, schema)
      // The rest of a frame is its header and two names of 255 bytes.
      expect(body.length).toBeLessThan((1 << 20) - 1_000)
    }
  })

  test('rows of very many sources do not wait without bound', () => {
    const cutter = new Cutter()
    let [waiting, most] = [0, 0]
    for (let index = 0; index < 300_000; index++) {
      waiting++
      const row = { source: `s${index}`, sample: { timeUs: 1, fields: { v: 1 } } }
      for (const frame of cutter.push(row)) waiting -= frame.samples.length
      most = Math.max(most, waiting)
    }
    expect(most).toBeLessThanOrEqual(262_144)
    for (const frame of cutter.end()) waiting -= frame.samples.length
    expect(waiting).toBe(0)
  })

  test('more samples than a frame of a replay may hold are refused', () => {
    expect(() => new Cutter({ samplesMax: 129 })).toThrow(RangeError)
  })
})

describe('pace', () => {
  test('time never goes backwards, and the speed divides it', () => {
    const pace = new Pace(10e6)
    const offsets = [12, 11, 5, 40].map((second) => pace.offsetUs({ completedUs: second * 1e6 }))
    expect(offsets).toEqual([2e6, 2e6, 2e6, 30e6])
    expect(dueMs(30e6, 60)).toBe(500)
    expect(() => dueMs(1, 0)).toThrow(RangeError)
  })
})
