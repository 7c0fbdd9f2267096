import { describe, expect, test } from 'vitest'
import { StorageError } from '../errors.ts'
import { parseQuery } from './query.ts'
import { formatTime, parseDuration, parseTime } from './time.ts'

const NOW = 1_751_803_200_000_000

function refusal(input: unknown): string {
  try {
    parseQuery(input, NOW)
  } catch (error) {
    if (error instanceof StorageError && error.code === 'QUERY_INVALID') return error.message
    throw error
  }
  return 'accepted'
}

describe('parseQuery', () => {
  test('fills in what was left out', () => {
    expect(parseQuery({ kind: 'latest', stream: 'a' }, NOW)).toEqual({
      kind: 'latest',
      stream: 'a',
      where: [],
      fromUs: 0,
    })
    expect(parseQuery({ kind: 'range', stream: 'a', sources: ['x', 'x'] }, NOW)).toEqual({
      kind: 'range',
      stream: 'a',
      sources: ['x'],
      where: [],
      fromUs: 0,
      toUs: Number.MAX_SAFE_INTEGER,
      order: 'asc',
    })
    expect(parseQuery({ kind: 'downsample', stream: 'a', from: '-1h', every: '10s' }, NOW)).toEqual(
      {
        kind: 'downsample',
        stream: 'a',
        where: [],
        fromUs: NOW - 3_600_000_000,
        toUs: NOW,
        everyUs: 10_000_000,
        order: 'asc',
        aggregates: ['avg'],
        by: 'source',
      },
    )
  })

  const stream = 'a'
  const down = { kind: 'downsample', stream, from: '-1h', every: '1m' }
  test.each([
    [null, /not a JSON object/],
    [{ stream }, /kind is missing: one of latest, range, downsample/],
    [{ kind: 'rang', stream }, /"rang" is not known.*Did you mean "range"/],
    [{ kind: 'range' }, /stream is missing/],
    [{ kind: 'range', stream, form: '-5m' }, /form is not a key.*Did you mean "from"/],
    [
      { kind: 'latest', stream, order: 'asc' },
      /order is not a key of this query: it may have kind/,
    ],
    [{ kind: 'range', stream, from: 'yesterday' }, /from "yesterday" is not an ISO time/],
    [{ kind: 'range', stream, from: '2025-07-06T12:00:00' }, /with its zone/],
    [{ kind: 'range', stream, from: '2025-02-30T12:00:00Z' }, /is not an ISO time/],
    [{ kind: 'range', stream, from: 'now', to: '-5m' }, /now is not before to \(-5m\)/],
    [{ kind: 'range', stream, from: 5, to: 5 }, /is not before/],
    [{ kind: 'range', stream, limit: 0 }, /limit is 0/],
    [{ kind: 'range', stream, sources: [] }, /sources is \[\]/],
    [{ kind: 'range', stream, order: 'up' }, /order "up" is not one of asc, desc/],
    [{ ...down, every: '0s' }, /every "0s" is not a duration/],
    [{ ...down, every: '-1m' }, /every "-1m"/],
    [{ ...down, every: '1us' }, /3600000000 buckets.*at most 1000000/],
    [{ kind: 'downsample', stream, every: '1m' }, /from is missing/],
    [{ ...down, every: undefined }, /every is missing/],
    [{ ...down, aggregates: ['mean'] }, /aggregates\[0\] "mean" is not one of count/],
    [
      { kind: 'range', stream, where: [{ field: 'x', op: '=>', value: 1 }] },
      /where\[0\]\.op "=>" is not one of/,
    ],
    [{ kind: 'range', stream, where: [{ field: 'x', op: '=', valu: 1 }] }, /Did you mean "value"/],
    [{ kind: 'range', stream, where: [{ field: 'x', op: '=', value: null }] }, /value is null/],
  ])('%j is refused with a reason', (input, reason) => {
    expect(refusal(input)).toMatch(reason)
  })
})

describe('times', () => {
  test.each([
    ['now', NOW],
    ['-5m', NOW - 300_000_000],
    ['now-1h30m', NOW - 5_400_000_000],
    ['now+1s', NOW + 1_000_000],
    ['2025-07-06T12:00:00Z', NOW],
    ['2025-07-06T14:00:00.000001+02:00', NOW + 1],
    ['2025-07-06 14:00+0200', NOW],
    [NOW, NOW],
    [NOW / 1000, NOW],
    ['5us', 5],
    ['5ms', 5_000],
    [0, 0],
    ['', undefined],
    ['5', undefined],
    ['2025-07-06', undefined],
    ['-5', undefined],
    [-1, undefined],
    [Number.NaN, undefined],
    [1e300, undefined],
  ])('%j', (text, us) => {
    expect(parseTime(text, NOW)).toBe(us)
  })

  test('a time written out reads back the same', () => {
    for (const us of [0, 1, 999, NOW + 123_456, 2 ** 52]) {
      expect(parseTime(formatTime(us), 0)).toBe(us)
    }
    expect(formatTime(NOW + 42)).toBe('2025-07-06T12:00:00.000042Z')
  })

  test.each([
    ['10s', 10_000_000],
    ['1h30m', 5_400_000_000],
    ['1.5s', 1_500_000],
    ['2w', 1_209_600_000_000],
    ['10', undefined],
    ['s', undefined],
    ['1 m', undefined],
  ])('duration %s', (text, us) => {
    expect(parseDuration(text)).toBe(us)
  })
})
