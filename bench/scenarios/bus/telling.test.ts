import { describe, expect, test } from 'vitest'
import type { Run } from '../../result.ts'
import {
  againstInEach,
  barsOf,
  findingOf,
  skeinAgainstKafka,
  tableOf,
  TOLD,
  type FloorOf,
  type Variants,
} from './telling.ts'
import { busRun } from './testing.ts'

const variants: Variants = { names: ['json', 'protobuf'], of: ({ load }) => load.form }
const noFloor: FloorOf = () => 1

/** Some noise, alike for all of a block. */
const BLOCKS = [1, 1.01, 0.99, 1.02]

function runsWith(system: 'skein' | 'kafka', form: 'json' | 'protobuf', perSecond: number): Run[] {
  return BLOCKS.map((noise, block) =>
    busRun({ system, block, load: { form }, perSecond: perSecond * noise }),
  )
}

const RUNS = [
  ...runsWith('kafka', 'json', 1_000),
  ...runsWith('kafka', 'protobuf', 1_000),
  ...runsWith('skein', 'json', 2_000),
  ...runsWith('skein', 'protobuf', 3_000),
]

const inEach = (runs: readonly Run[], floorOf = noFloor): string =>
  againstInEach(runs, variants, ['protobuf', 'json'], [TOLD.throughput], floorOf)

describe('what the experiments say', () => {
  test('a ratio with its interval, or that there is no difference, skein first', () => {
    expect(inEach(RUNS)).toBe(
      'On skein, protobuf against json: 1.5 (1.5–1.5) times the throughput. ' +
        'On kafka, protobuf against json: the same throughput (1, inside the noise).',
    )
  })

  test('a difference that the same cell has with itself is none', () => {
    expect(inEach(RUNS, () => 2)).toContain('On skein, protobuf against json: the same throughput')
  })

  test('one block gives a ratio without an interval', () => {
    const runs = RUNS.filter(({ block }) => block === 0)
    expect(inEach(runs)).toContain('On skein, protobuf against json: 1.5 times the throughput.')
  })

  test('nothing is said of what has no run that counts', () => {
    const runs = RUNS.map((run) => ({ ...run, voids: ['1 samples lost'] }))
    expect(inEach(runs)).toBe('')
    expect(skeinAgainstKafka(runs, variants, 'json', [TOLD.throughput], noFloor)).toBe('')
    expect(findingOf(['', 'Only this.', ''])).toBe('Only this.')
  })

  test('systems are compared at the same variant', () => {
    expect(skeinAgainstKafka(RUNS, variants, 'protobuf', [TOLD.throughput], noFloor)).toBe(
      'Skein against Kafka, protobuf: 3 (3–3) times the throughput.',
    )
  })

  test('flat out and at a rate are told apart', () => {
    const paced = busRun({ load: { rate: 1_000 }, latencyUs: 2_000, perSecond: 1 })
    expect(TOLD.throughput.figure(paced)).toBeUndefined()
    expect(TOLD.receiptP50.figure(paced)).toBeCloseTo(2, 1)
    expect(TOLD.receiptP50.figure(busRun({}))).toBeUndefined()
  })

  test('a table has a row for each system and variants, and the figures that there are', () => {
    const { columns, rows } = tableOf(RUNS, variants, [TOLD.throughput, TOLD.liveP50])
    expect(columns.map(({ name }) => name)).toEqual(['system', '', 'throughput', ''])
    expect(rows.map((row) => row.slice(0, 2).join(' '))).toEqual([
      'skein json',
      'skein protobuf',
      'kafka json',
      'kafka protobuf',
    ])
    expect(rows[0]![2]).toBe(2_020)
  })

  test('bars are by variants, a series a system', () => {
    const { series } = barsOf(RUNS, variants, TOLD.throughput, 'encoding')
    expect(series.map(({ name, points }) => [name, points.length])).toEqual([
      ['skein', 2],
      ['kafka', 2],
    ])
  })
})
