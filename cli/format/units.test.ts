import { describe, expect, test } from 'vitest'
import { jsonLine } from './json-line.ts'
import * as units from './units.ts'

describe('units', () => {
  test.each([
    [0, '0 B'],
    [512, '512 B'],
    [1023, '1.00 KiB'],
    [1536, '1.50 KiB'],
    [67_108_864, '64.0 MiB'],
    [1_048_000, '1.00 MiB'],
    [-2048, '-2.00 KiB'],
    [2 ** 60, '1024 PiB'],
    [NaN, '-'],
  ])('%d bytes are %s', (bytes, text) => expect(units.bytes(bytes)).toBe(text))

  test.each([
    [0, '0/s'],
    [4, '4/s'],
    [0.25, '0.25/s'],
    [999.7, '1.00k/s'],
    [12_345, '12.3k/s'],
    [4_560_000, '4.56M/s'],
  ])('%d a second is %s', (rate, text) => expect(units.rate(rate)).toBe(text))

  test.each([
    [0, '0 µs'],
    [250, '250 µs'],
    [999.9, '1.00 ms'],
    [1250, '1.25 ms'],
    [999_700, '1.00 s'],
    [42_000_000, '42.0 s'],
    [59_900_000, '1m 00s'],
    [303_000_000, '5m 03s'],
    [7_500_000_000, '2h 05m'],
    [273_600_000_000, '3d 04h'],
    [-1250, '-1.25 ms'],
    [NaN, '-'],
  ])('%d µs are %s', (us, text) => expect(units.durationUs(us)).toBe(text))

  test('rates of bytes and durations in ms', () => {
    expect(units.byteRate(5_368_709)).toBe('5.12 MiB/s')
    expect(units.durationMs(1.5)).toBe('1.50 ms')
  })

  test('times keep their microseconds', () => {
    expect(units.timeUs(1_751_803_200_000_000)).toBe('2025-07-06T12:00:00.000Z')
    expect(units.timeUs(1_751_803_200_000_250)).toBe('2025-07-06T12:00:00.000250Z')
    expect(units.timeUs(1_751_803_200_000_007)).toBe('2025-07-06T12:00:00.000007Z')
    expect(units.timeUs(Number.MAX_SAFE_INTEGER)).toBe('2255-06-05T23:47:34.740991Z')
  })
})

describe('jsonLine', () => {
  test('one line, whatever the value', () => {
    expect(jsonLine({ text: 'a\nb' })).toBe('{"text":"a\\nb"}\n')
    expect(jsonLine(undefined)).toBe('null\n')
  })

  test('what JSON lacks has a stated form', () => {
    const value = {
      nan: NaN,
      bytes: Uint8Array.of(1, 255),
      map: new Map([['a', new Set([1])]]),
      big: [5n, 2n ** 60n],
      date: new Date(0),
      absent: undefined,
    }
    expect(JSON.parse(jsonLine(value))).toEqual({
      nan: null,
      bytes: '01ff',
      map: { a: [1] },
      big: [5, '1152921504606846976'],
      date: '1970-01-01T00:00:00.000Z',
    })
  })

  test('errors keep what programs match on', () => {
    const error = Object.assign(new Error('no', { cause: new TypeError('why') }), { code: 'X' })
    expect(JSON.parse(jsonLine({ error }))).toEqual({
      error: {
        name: 'Error',
        message: 'no',
        code: 'X',
        cause: { name: 'TypeError', message: 'why' },
      },
    })
  })
})
