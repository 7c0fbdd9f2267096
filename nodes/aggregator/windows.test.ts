import { describe, expect, test } from 'vitest'
import type { Fields, Sample } from '../../mesh/index.ts'
import type { Result } from './operator.ts'
import { TumblingWindows, type WindowDefinition, type WindowLimits } from './windows.ts'

const S = 1_000_000
/** A whole multiple of ten seconds, as any event time of today looks. */
const T0 = 1_751_803_200 * S

const definition: WindowDefinition = {
  name: 'speed10s',
  stream: 'vehicle.motion',
  output: 'vehicle.motion.speed10s',
  everyUs: 10 * S,
  latenessUs: 2 * S,
  idleUs: 12 * S,
  fields: ['speed'],
  aggregates: ['count', 'sum', 'avg', 'min', 'max'],
}

const windows = (limits?: Partial<WindowLimits>, change?: Partial<WindowDefinition>) =>
  new TumblingWindows({ ...definition, ...change }, limits)

const at = (seconds: number, fields: Fields = { speed: 1 }): Sample => ({
  timeUs: T0 + seconds * S,
  fields,
})

/** Adds samples at their event time plus a little, as a live stream would. */
function feed(operator: TumblingWindows, source: string, ...samples: Sample[]): Result[] {
  return samples.flatMap((sample) => operator.add(source, sample, sample.timeUs + 1000))
}

const starts = (results: readonly Result[]) => results.map(({ timeUs }) => (timeUs - T0) / S)

describe('tumbling windows', () => {
  test('watermark - a window is emitted when event time passes its end by the lateness', () => {
    const operator = windows()
    expect(feed(operator, 'VH001', at(0, { speed: 10 }), at(9.9, { speed: 20 }), at(11.9))).toEqual(
      [],
    )
    expect(feed(operator, 'VH001', at(12))).toEqual([
      {
        source: 'VH001',
        timeUs: T0,
        fields: {
          window_end_us: T0 + 10 * S,
          speed_count: 2,
          speed_sum: 30,
          speed_avg: 15,
          speed_min: 10,
          speed_max: 20,
        },
      },
    ])
  })

  test('boundary - a sample at the very start of a window belongs to it, not to the one before', () => {
    const operator = windows()
    const results = feed(operator, 'VH001', at(9.999999), at(10), at(30))
    expect(results.map(({ fields }) => fields['speed_count'])).toEqual([1, 1])
    expect(starts(results)).toEqual([0, 10])
  })

  test('disorder - a sample out of order but within lateness counts', () => {
    const operator = windows()
    const [result] = feed(operator, 'VH001', at(5), at(11.5), at(9.6), at(12))
    expect(result?.fields['speed_count']).toBe(2)
    expect(operator.counters.lateSamples).toBe(0)
  })

  test('late - a sample of an emitted window is counted and never emits it again', () => {
    const operator = windows()
    feed(operator, 'VH001', at(5), at(12))
    expect(feed(operator, 'VH001', at(9))).toEqual([])
    expect(operator.counters.lateSamples).toBe(1)
    expect(starts(operator.drain())).toEqual([10])
  })

  test('sources - the watermark of one does not close the windows of another', () => {
    const operator = windows()
    feed(operator, 'VH001', at(5))
    expect(feed(operator, 'VH002', at(5), at(60)).map(({ source }) => source)).toEqual(['VH002'])
    expect(starts(feed(operator, 'VH001', at(12)))).toEqual([0])
  })

  test('empty - windows without samples give no result', () => {
    expect(starts(feed(windows(), 'VH001', at(5), at(65), at(80)))).toEqual([0, 60])
  })

  test('NaN - values that are no finite numbers are skipped and counted, the rest of the sample counts', () => {
    const operator = windows({}, { fields: ['speed', 'load'] })
    const [result] = feed(
      operator,
      'VH001',
      at(1, { speed: NaN, load: 3 }),
      at(2, { speed: Infinity, load: 'full' }),
      at(3, { speed: 7 }),
      at(12),
    )
    expect(result?.fields).toMatchObject({
      speed_count: 1,
      speed_avg: 7,
      load_count: 1,
      load_max: 3,
    })
    expect(operator.counters.skippedValues).toBe(3)
  })

  test('NaN - a window without any number says count 0 and nothing else', () => {
    const [result] = feed(windows(), 'VH001', at(1, { speed: NaN }), at(12))
    expect(result?.fields).toEqual({ window_end_us: T0 + 10 * S, speed_count: 0 })
  })

  test('silence - windows close once no sample was accepted for idleUs of arrival time', () => {
    const operator = windows()
    feed(operator, 'VH001', at(5))
    const arrivedUs = at(5).timeUs + 1000
    expect(operator.advance(arrivedUs + 12 * S - 1)).toEqual([])
    expect(starts(operator.advance(arrivedUs + 12 * S))).toEqual([0])
    expect(operator.advance(arrivedUs + 60 * S)).toEqual([])
    expect(operator.counters.idleResults).toBe(1)
    expect(feed(operator, 'VH001', at(9))).toEqual([])
    expect(operator.counters.lateSamples).toBe(1)
  })

  test('silence - late samples are no sign of life', () => {
    const operator = windows()
    const arrivedUs = T0 + 100 * S
    operator.add('VH001', at(25), arrivedUs)
    operator.add('VH002', at(25), arrivedUs + 1)
    operator.add('VH001', at(3), arrivedUs + 10 * S)
    expect(operator.counters.lateSamples).toBe(1)
    expect(operator.advance(arrivedUs + 12 * S).map(({ source }) => source)).toEqual(['VH001'])
  })

  test('clock ahead - a sample from the far future is counted and closes nothing', () => {
    const operator = windows()
    feed(operator, 'VH001', at(5))
    expect(operator.add('VH001', at(3600), T0 + 6 * S)).toEqual([])
    expect(operator.counters.futureSamples).toBe(1)
    expect(starts(operator.drain())).toEqual([0])
  })

  test('drain - emits every open window once, in order per source', () => {
    const operator = windows({}, { latenessUs: 30 * S })
    feed(operator, 'VH001', at(25), at(5), at(15))
    feed(operator, 'VH002', at(5))
    expect(starts(operator.drain())).toEqual([0, 10, 20, 0])
    expect(operator.drain()).toEqual([])
    expect(operator.counters).toMatchObject({ results: 4, drainedResults: 4 })
    expect(feed(operator, 'VH001', at(26))).toEqual([])
  })
})

describe('limits of tumbling windows', () => {
  test('per source - the oldest window is emitted as it stands and counted', () => {
    const operator = windows({ windowsPerSourceMax: 2 }, { latenessUs: 100 * S })
    expect(starts(feed(operator, 'VH001', at(5), at(15), at(25)))).toEqual([0])
    expect(operator.counters.forcedResults).toBe(1)
    expect(feed(operator, 'VH001', at(4))).toEqual([])
    expect(operator.counters.lateSamples).toBe(1)
  })

  test('in all - the source not heard for longest gives way', () => {
    const operator = windows({ windowsPerSourceMax: 2, windowsMax: 2 })
    feed(operator, 'VH001', at(1))
    feed(operator, 'VH002', at(2))
    feed(operator, 'VH001', at(3))
    const results = feed(operator, 'VH003', at(4))
    expect(results.map(({ source }) => source)).toEqual(['VH002'])
    expect(operator.openCount).toBe(2)
  })

  test('sources - a forgotten source never has a window emitted twice', () => {
    const operator = windows({ sourcesMax: 2 })
    feed(operator, 'VH001', at(1))
    feed(operator, 'VH002', at(2))
    expect(feed(operator, 'VH003', at(13)).map(({ source }) => source)).toEqual(['VH001'])
    expect(operator.counters).toMatchObject({ forgottenSources: 1, forcedResults: 1 })
    expect(feed(operator, 'VH001', at(5)).map(({ source }) => source)).toEqual(['VH002'])
    expect(operator.counters.lateSamples).toBe(1)
    expect(operator.drain().map(({ source }) => source)).toEqual(['VH003'])
  })

  test('definition - limits that contradict each other are refused', () => {
    expect(() => windows({ windowsPerSourceMax: 5, windowsMax: 4 })).toThrow(RangeError)
    expect(() => windows({}, { everyUs: 0 })).toThrow(RangeError)
  })
})
