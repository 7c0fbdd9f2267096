// Streaming against batch: for any disorder within the lateness, the windows are those one gets by
// sorting everything and cutting it up, and each comes exactly once.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Result } from './operator.ts'
import { TumblingWindows, type WindowDefinition } from './windows.ts'

const EVERY_US = 1000

interface Reading {
  readonly source: string
  readonly timeUs: number
  /** How much it is overtaken, at most the lateness. */
  readonly delayUs: number
  /** Whole, so that sums do not depend on the order; NaN stands for a broken sensor. */
  readonly speed: number
}

const readings = (latenessUs: number, timeUsMax: number) =>
  fc.array(
    fc.record({
      source: fc.constantFrom('VH001', 'VH002', 'VH003'),
      timeUs: fc.nat(timeUsMax),
      delayUs: fc.nat(latenessUs),
      speed: fc.oneof(
        { arbitrary: fc.integer({ min: -500, max: 500 }), weight: 9 },
        fc.constant(NaN),
      ),
    }),
    { maxLength: 120 },
  )

const definitionOf = (latenessUs: number, idleUs = Number.MAX_SAFE_INTEGER): WindowDefinition => ({
  name: 'w',
  stream: 's',
  output: 's.w',
  everyUs: EVERY_US,
  latenessUs,
  idleUs,
  fields: ['speed'],
  aggregates: ['count', 'sum', 'avg', 'min', 'max'],
})

function stream(operator: TumblingWindows, all: readonly Reading[]): Result[] {
  const results = all.flatMap(({ source, timeUs, speed, delayUs }) => [
    ...operator.add(source, { timeUs, fields: { speed } }, timeUs + delayUs),
    ...operator.advance(timeUs + delayUs),
  ])
  return [...results, ...operator.drain()]
}

function batch(all: readonly Reading[]): Map<string, object> {
  const groups = Map.groupBy(
    all,
    ({ source, timeUs }) => `${source} ${Math.floor(timeUs / EVERY_US) * EVERY_US}`,
  )
  return new Map(
    [...groups].map(([key, group]) => {
      const values = group.map(({ speed }) => speed).filter((speed) => !Number.isNaN(speed))
      const sum = values.reduce((total, value) => total + value, 0)
      const window_end_us = Number(key.split(' ')[1]) + EVERY_US
      if (values.length === 0) return [key, { window_end_us, speed_count: 0 }]
      const fields = {
        window_end_us,
        speed_count: values.length,
        speed_sum: sum,
        speed_avg: sum / values.length,
        speed_min: Math.min(...values),
        speed_max: Math.max(...values),
      }
      return [key, fields]
    }),
  )
}

const keyed = (results: readonly Result[]) =>
  new Map(results.map(({ source, timeUs, fields }) => [`${source} ${timeUs}`, fields]))

const cases = fc
  .integer({ min: 0, max: 5 * EVERY_US })
  .chain((latenessUs) => fc.tuple(fc.constant(latenessUs), readings(latenessUs, 20 * EVERY_US)))

test('windows equal a batch computation for any disorder within the lateness', () => {
  fc.assert(
    fc.property(cases, ([latenessUs, all]) => {
      const operator = new TumblingWindows(definitionOf(latenessUs))
      const arrived = all.toSorted((a, b) => a.timeUs + a.delayUs - (b.timeUs + b.delayUs))
      const results = stream(operator, arrived)
      expect(operator.counters.lateSamples).toBe(0)
      expect(keyed(results)).toEqual(batch(all))
      expect(results).toHaveLength(keyed(results).size)
      expect(operator.openCount).toBe(0)
    }),
  )
})

test('each window comes once, and every sample is in one or counted, whatever the order and the limits', () => {
  const limits = fc.record({
    sourcesMax: fc.integer({ min: 1, max: 3 }),
    windowsPerSourceMax: fc.integer({ min: 1, max: 3 }),
    windowsMax: fc.integer({ min: 3, max: 6 }),
    aheadUsMax: fc.constant(10 * EVERY_US),
  })
  const idleUs = fc.integer({ min: 1, max: 10 * EVERY_US })
  fc.assert(
    fc.property(cases, limits, idleUs, ([latenessUs, all], limit, idle) => {
      const operator = new TumblingWindows(definitionOf(latenessUs, idle), limit)
      const results = all.flatMap(({ source, timeUs, speed }, index) => {
        const sample = { timeUs, fields: { speed: Number.isNaN(speed) ? 0 : speed } }
        const out = operator.add(source, sample, index * 500)
        expect(operator.openCount).toBeLessThanOrEqual(limit.windowsMax)
        return [...out, ...operator.advance(index * 500)]
      })
      results.push(...operator.drain())
      const { samples, lateSamples, futureSamples, results: count } = operator.counters
      expect(new Set(keyed(results).keys()).size).toBe(results.length)
      expect(count).toBe(results.length)
      const inside = results.reduce((sum, { fields }) => sum + Number(fields['speed_count']), 0)
      expect(inside + lateSamples + futureSamples).toBe(samples)
    }),
  )
})
