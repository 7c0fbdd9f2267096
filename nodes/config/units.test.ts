import { describe, expect, test } from 'vitest'
import { parseBytes, parseDurationUs } from './units.ts'

describe('durations', () => {
  test.each([
    ['5ms', 5000],
    ['1.5 ms', 1500],
    ['10s', 10_000_000],
    ['2m', 120_000_000],
    ['1h', 3_600_000_000],
    ['7d', 604_800_000_000],
    ['250us', 250],
    ['250µs', 250],
    ['0', 0],
    [0, 0],
  ])('%s is %d µs', (text, us) => expect(parseDurationUs(text)).toBe(us))

  test.each(['', 'soon', '-5ms', '1h30m', '5 parsecs', '5M', '0.3us', '1e3s', '99999999d', 5])(
    '%s is refused',
    (text) => expect(() => parseDurationUs(text)).toThrow(RangeError),
  )

  test('a number without a unit - the message asks for one', () => {
    expect(() => parseDurationUs(5)).toThrow('is 5 without a unit; expected a duration such as 5ms')
  })
})

describe('sizes', () => {
  test.each([
    ['512B', 512],
    ['16KiB', 16_384],
    ['1.5MiB', 1_572_864],
    ['1GiB', 2 ** 30],
    ['100MB', 100_000_000],
  ])('%s is %d bytes', (text, bytes) => expect(parseBytes(text)).toBe(bytes))

  test('an unknown unit - the message lists those there are', () => {
    expect(() => parseBytes('64Mb')).toThrow('its unit must be one of B, KiB, MiB')
    expect(() => parseBytes('64constructor')).toThrow(RangeError)
  })
})
