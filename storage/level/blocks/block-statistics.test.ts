// Statistics against the samples they sum up, added one by one.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Epoch, type Sample, SeededRandom, type Value } from '../../../mesh/index.ts'
import {
  addRow,
  type BucketPartial,
  type FieldPartial,
  mergeBucket,
} from '../../query/aggregate.ts'
import { roundedSum } from '../../query/exact-sum.ts'
import { frameOf, sampleFrames, SCHEMA, schemaOf } from './block-test-frames.ts'
import type { Cell } from '../../frame-store.ts'
import { blockStatistics, encodeBlock, readBlock } from './block.ts'

/** A whole day. */
const BASE_US = 1_789_948_800_000_000
/** The last three are not of the schema. */
const NAMES = ['a', 'b b', 'speed', '__proto__', 'other', 'of two words', '7']
const KEY = { source: 'VH001', epoch: '019b76da7fdc0001' as Epoch, sequence: 1, index: 0 }

function statisticsOf(samples: readonly Sample[]): Cell[] | undefined {
  const block = readBlock(encodeBlock(sampleFrames(samples, 1, SCHEMA), schemaOf))
  if (typeof block === 'string') throw new Error(block)
  expect(block.samples).toBe(samples.length)
  return blockStatistics(block, SCHEMA)
}

/** The samples of [fromUs, toUs) as `downsample` adds them up. */
function added(samples: readonly Sample[], fromUs: number, toUs: number): BucketPartial {
  const bucket: BucketPartial = { timeUs: fromUs, source: '', fields: new Map() }
  for (const { timeUs, fields } of samples) {
    if (timeUs >= fromUs && timeUs < toUs) addRow(bucket, { ...KEY, timeUs, fields }, false)
  }
  return bucket
}

/** Sums rounded: of one total there are several lists of parts. Entries by name. */
function plain(fields: ReadonlyMap<string, FieldPartial>): unknown[] {
  return [...fields]
    .map(([name, { sum, ...rest }]) => [name, { ...rest, sum: roundedSum(sum) }] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

function someValue(random: SeededRandom): Value {
  const kind = random.next()
  if (kind < 0.6) return Math.round(random.next() * 10_000) / 100
  if (kind < 0.8) return (random.next() - 0.5) * 10 ** (random.next() * 500 - 250)
  if (kind < 0.9) return kind < 0.85
  return kind < 0.95 ? 'text' : -0
}

function someSamples(seed: number, count: number, stepUs: number, odd: number): Sample[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: count }, (_, i) => {
    const names = NAMES.filter((_, i) => i > 3 || random.next() < 0.7)
    const isOdd = random.next() < odd
    const fields = names.map((name) => [name, isOdd ? NaN : someValue(random)] as const)
    return {
      timeUs: BASE_US + Math.floor((i + random.next()) * stepUs),
      fields: Object.fromEntries(fields),
    }
  })
}

test('cells say what their samples say, one by one and merged, bit for bit', () => {
  let checked = 0
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 128, max: 700 }),
      fc.constantFrom(1_000, 60_000, 1_000_000, 10_000_000, 60_000_000, 600_000_000),
      fc.constantFrom(0, 0, 0.01),
      (seed, count, stepUs, odd) => {
        const samples = someSamples(seed, count, stepUs, odd)
        const cells = statisticsOf(samples)
        if (cells === undefined) return
        checked++
        const all: BucketPartial = { timeUs: 0, source: '', fields: new Map() }
        let counted = 0
        for (const { timeUs, stepUs, samples: inCell, fields } of cells) {
          expect(timeUs % stepUs).toBe(0)
          const wanted = added(samples, timeUs, timeUs + stepUs)
          expect(plain(fields)).toEqual(plain(wanted.fields))
          counted += inCell
          mergeBucket(all, { timeUs: 0, source: '', fields })
        }
        expect(counted).toBe(count)
        expect(plain(all.fields)).toEqual(plain(added(samples, 0, Infinity).fields))
      },
    ),
    { numRuns: 60 },
  )
  expect(checked).toBeGreaterThan(20)
})

const every = (stepUs: number, count: number): Sample[] =>
  Array.from({ length: count }, (_, i) => ({ timeUs: BASE_US + i * stepUs, fields: { a: i } }))

test.each([
  ['1 ms', 1_000, 1],
  ['100 ms', 100_000, 60],
  ['400 ms', 400_000, 60],
  ['1 s', 1_000_000, 600],
  ['10 s', 10_000_000, 3600],
  ['1 min', 60_000_000, 86_400],
])('a sample every %s - the smallest step with 128 of them in a cell', (_, stepUs, seconds) => {
  const cells = statisticsOf(every(stepUs, 2880))!
  expect(cells[0]!.stepUs).toBe(seconds * 1e6)
  expect(2880 / cells.length).toBeGreaterThanOrEqual(128)
})

test('no statistics - below 128 samples, and where a day has fewer', () => {
  expect(statisticsOf(every(1000, 127))).toBe(undefined)
  expect(statisticsOf(every(1000, 128))).toHaveLength(1)
  expect(statisticsOf(every(3_600_000_000, 240))).toBe(undefined)
})

test('no statistics beside a data frame kept verbatim, and those of all samples beside others', () => {
  const frames = sampleFrames(every(1000, 300), 100, SCHEMA)
  const end = frameOf(Buffer.alloc(0), { sequence: 9, kind: 'end', codec: 'none' }, BASE_US)
  const odd = frameOf(Buffer.from('[]'), { sequence: 8, codec: 'json' }, BASE_US)
  const withEnd = readBlock(encodeBlock([...frames, end], schemaOf))
  const withOdd = readBlock(encodeBlock([...frames, odd, end], schemaOf))
  if (typeof withEnd === 'string' || typeof withOdd === 'string') throw new Error('no block')
  expect(blockStatistics(withEnd, SCHEMA)![0]!.samples).toBe(300)
  expect(blockStatistics(withOdd, SCHEMA)).toBe(undefined)
})

test('statistics are new objects each time: merging into them harms nobody', () => {
  const block = readBlock(encodeBlock(sampleFrames(every(1000, 300), 100, SCHEMA), schemaOf))
  if (typeof block === 'string') throw new Error(block)
  blockStatistics(block, SCHEMA)![0]!.fields.get('a')!.sum.push(7)
  expect(blockStatistics(block, SCHEMA)![0]!.fields.get('a')!.sum).toEqual([(300 * 299) / 2])
})
