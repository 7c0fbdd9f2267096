import { describe, expect, test } from 'vitest'
import { timeReader, type TimeRule } from './times.ts'

function read(rule: TimeRule, text: string): number | string {
  return timeReader(rule)(text)
}

const us = (iso: string): number => Date.parse(iso) * 1000

describe('times', () => {
  test('ISO with an offset is that instant, to the microsecond', () => {
    expect(read({ format: 'iso' }, '2015-03-08T01:40:54-06:00')).toBe(us('2015-03-08T07:40:54Z'))
    expect(read({ format: 'iso' }, '2015-03-08 01:40:54.123456789Z')).toBe(
      us('2015-03-08T01:40:54Z') + 123_456,
    )
    expect(read({ format: 'iso' }, '2015-03-08T01:40+0530')).toBe(us('2015-03-07T20:10:00Z'))
  })

  test('an offset in the text wins over the zone', () => {
    const rule = { format: 'iso', zone: 'America/Chicago' } as const
    expect(read(rule, '2016-11-24T00:00:51+01:00')).toBe(us('2016-11-23T23:00:51Z'))
    expect(read(rule, '2016-11-24T00:00:51')).toBe(us('2016-11-24T06:00:51Z'))
    expect(read(rule, '2016-07-24T00:00:51')).toBe(us('2016-07-24T05:00:51Z'))
  })

  test('a time without offset or zone is refused, with what to do', () => {
    expect(read({ format: 'iso' }, '2016-11-24T00:00:51')).toContain('time.zone')
  })

  test('a local time that did not happen is refused', () => {
    const rule = { format: 'iso', zone: 'America/Chicago' } as const
    expect(read(rule, '2015-03-08T01:59:59')).toBe(us('2015-03-08T07:59:59Z'))
    expect(read(rule, '2015-03-08T02:00:00')).toContain('did not happen')
    expect(read(rule, '2015-03-08T02:59:59')).toContain('did not happen')
    expect(read(rule, '2015-03-08T03:00:00')).toBe(us('2015-03-08T08:00:00Z'))
  })

  test('a local time that happened twice is refused, or the one the mapping names', () => {
    const zone = 'Europe/London'
    const text = '2019-10-27T01:30:00'
    expect(read({ format: 'iso', zone }, text)).toContain('happened twice')
    expect(read({ format: 'iso', zone, ambiguous: 'earlier' }, text)).toBe(
      us('2019-10-27T00:30:00Z'),
    )
    expect(read({ format: 'iso', zone, ambiguous: 'later' }, text)).toBe(us('2019-10-27T01:30:00Z'))
    expect(read({ format: 'iso', zone }, '2019-10-27T02:00:00')).toBe(us('2019-10-27T02:00:00Z'))
    expect(read({ format: 'iso', zone }, '2019-10-27T00:59:59')).toBe(us('2019-10-26T23:59:59Z'))
  })

  test('every hour of a year in a zone comes back as it was, save the one that happened twice', () => {
    const format = new Intl.DateTimeFormat('sv-SE', {
      timeZone: 'Australia/Lord_Howe',
      dateStyle: 'short',
      timeStyle: 'medium',
    })
    const reader = timeReader({ format: 'iso', zone: 'Australia/Lord_Howe' })
    let [refused, wrong] = [0, 0]
    for (let hour = 0; hour < 366 * 24; hour++) {
      const utcMs = Date.UTC(2020, 0, 1, hour)
      const result = reader(format.format(utcMs))
      if (typeof result === 'string') refused++
      else if (result !== utcMs * 1000) wrong++
    }
    expect(wrong).toBe(0)
    // Clocks there go back half an hour, so of the whole UTC hours one at most is told twice.
    expect(refused).toBeLessThanOrEqual(1)
  })

  test('epochs are read digit by digit, from their origin', () => {
    expect(read({ format: 'epoch_s' }, '1555748280')).toBe(1_555_748_280_000_000)
    expect(read({ format: 'epoch_s' }, '1555748280.1234569')).toBe(1_555_748_280_123_456)
    expect(read({ format: 'epoch_ms' }, '1533226490000.0')).toBe(1_533_226_490_000_000)
    expect(read({ format: 'epoch_us' }, '17')).toBe(17)
    expect(read({ format: 'epoch_s', origin: '2018-08-02T00:00:00Z' }, '1.5')).toBe(
      us('2018-08-02T00:00:01.500Z'),
    )
    expect(read({ format: 'epoch_s' }, '-5')).toContain('before 1970')
    expect(read({ format: 'epoch_s' }, 'soon')).toContain('not a number')
  })

  test('a pattern names its parts', () => {
    const rule = { format: 'pattern', pattern: 'dd/MM/yyyy HH:mm:ss.SSS', zone: '+02:00' } as const
    expect(read(rule, '24/11/2016 02:00:51.250')).toBe(us('2016-11-24T00:00:51.250Z'))
    expect(read(rule, '2016-11-24 02:00:51')).toContain('dd/MM/yyyy')
    expect(() => timeReader({ format: 'pattern', pattern: 'HH:mm' })).toThrow(RangeError)
  })

  test.each([
    '2015-02-29T00:00:00Z',
    '2015-01-01T24:00:00Z',
    '2015-13-01T00:00:00Z',
    '0075-01-01T00:00:00Z',
    '2015-01-01T00:00:60Z',
  ])('%s is no time', (text) => {
    expect(read({ format: 'iso' }, text)).toContain('exists')
  })
})
