import { describe, expect, test } from 'vitest'
import type { Value } from '../../mesh/index.ts'
import { Thresholds, type ThresholdDefinition } from './thresholds.ts'

const definition: ThresholdDefinition = {
  name: 'hot',
  stream: 'vehicle.motion',
  output: 'vehicle.motion.hot',
  field: 'temperature',
  above: 30,
  hysteresis: 0,
}

/** One sample a second of one source; the results as `value state threshold`. */
function run(change: Partial<ThresholdDefinition>, values: readonly Value[]): string[] {
  const operator = new Thresholds({ ...definition, ...change })
  return values.flatMap((temperature, second) =>
    operator
      .add('VH001', { timeUs: second * 1_000_000, fields: { temperature } }, second * 1_000_000)
      .map(({ fields }) => `${fields['value']} ${fields['state']} ${fields['threshold']}`),
  )
}

describe('thresholds', () => {
  test('edge - one result when it goes above, one when it returns, none between', () => {
    expect(run({}, [20, 31, 35, 32, 30, 25])).toEqual(['31 raised 30', '30 cleared 30'])
  })

  test('edge - a first sample above raises, a first sample inside does not clear', () => {
    expect(run({}, [31])).toEqual(['31 raised 30'])
    expect(run({}, [29])).toEqual([])
  })

  test('hysteresis - a value that trembles at the limit raises once', () => {
    const values = [31, 29.5, 31, 29, 28, 31]
    expect(run({ hysteresis: 2 }, values)).toEqual([
      '31 raised 30',
      '28 cleared 30',
      '31 raised 30',
    ])
  })

  test('both sides - a jump across the band clears one and raises the other', () => {
    expect(run({ below: 5, hysteresis: 1 }, [31, 4, 5.5, 6])).toEqual([
      '31 raised 30',
      '4 cleared 30',
      '4 raised 5',
      '6 cleared 5',
    ])
  })

  test('below only - zero and negative limits work', () => {
    const change: ThresholdDefinition = { ...definition, below: 0 }
    const { above: _, ...below } = change
    const operator = new Thresholds(below)
    const [result] = operator.add('VH001', { timeUs: 1, fields: { temperature: -1 } }, 1)
    expect(result).toEqual({
      source: 'VH001',
      timeUs: 1,
      fields: { value: -1, threshold: 0, state: 'raised' },
    })
  })

  test('no number - NaN, infinities and words change nothing and are counted', () => {
    expect(run({}, [31, NaN, 'cold', -Infinity, 20])).toEqual(['31 raised 30', '20 cleared 30'])
  })

  test('late - a sample older than the newest is counted and not judged', () => {
    const operator = new Thresholds(definition)
    operator.add('VH001', { timeUs: 10, fields: { temperature: 20 } }, 10)
    expect(operator.add('VH001', { timeUs: 9, fields: { temperature: 99 } }, 11)).toEqual([])
    expect(operator.counters.lateSamples).toBe(1)
  })

  test('clock ahead - a sample from the far future does not make the next ones late', () => {
    const operator = new Thresholds(definition)
    operator.add('VH001', { timeUs: 3_600_000_000, fields: { temperature: 20 } }, 0)
    expect(operator.counters.futureSamples).toBe(1)
    expect(operator.add('VH001', { timeUs: 1, fields: { temperature: 31 } }, 1)).toHaveLength(1)
  })

  test('bounded - the source not heard for longest is forgotten and counted', () => {
    const operator = new Thresholds(definition, { sourcesMax: 2 })
    for (const source of ['VH001', 'VH002', 'VH001', 'VH003']) {
      operator.add(source, { timeUs: 1, fields: { temperature: 31 } }, 1)
    }
    expect(operator.counters.forgottenSources).toBe(1)
    expect(operator.raisedCount).toBe(2)
    expect(operator.add('VH001', { timeUs: 2, fields: { temperature: 31 } }, 2)).toEqual([])
    expect(operator.add('VH002', { timeUs: 2, fields: { temperature: 31 } }, 2)).toHaveLength(1)
  })

  test('drain and silence - emit nothing', () => {
    const operator = new Thresholds(definition)
    operator.add('VH001', { timeUs: 1, fields: { temperature: 31 } }, 1)
    expect([...operator.advance(1e12), ...operator.drain()]).toEqual([])
  })
})
