// The recorded time of a row, as microseconds since the Unix epoch, exactly: digits are read as
// digits, never through a float of seconds, so .123456 stays .123456. An offset in the text wins over
// the mapping's zone. What cannot be read for certain is refused with the reason.
import type { AmbiguousChoice, LocalToUtc } from './zone.ts'
import { zoneConverter } from './zone.ts'

export const TIME_FORMATS = ['iso', 'epoch_s', 'epoch_ms', 'epoch_us', 'pattern'] as const
export type TimeFormat = (typeof TIME_FORMATS)[number]

export interface TimeRule {
  readonly format: TimeFormat
  /** For `pattern`: yyyy MM dd HH mm ss, S… for fractions, XXX for an offset; the rest is literal. */
  readonly pattern?: string | undefined
  /** For times without an offset: UTC, an offset, or an IANA name. */
  readonly zone?: string | undefined
  readonly ambiguous?: AmbiguousChoice | undefined
  /** For epoch_…: an ISO time that the numbers count from, where that is not 1970 (a boot time). */
  readonly origin?: string | undefined
}

/** Microseconds, or why the text is no time. */
export type TimeReader = (text: string) => number | string

const ISO =
  /^(?<yyyy>\d{4})-(?<MM>\d\d)-(?<dd>\d\d)[T ](?<HH>\d\d):(?<mm>\d\d)(?::(?<ss>\d\d)(?:[.,](?<S>\d{1,9}))?)? ?(?<XXX>Z|[+-]\d\d(?::?\d\d)?)?$/
const EPOCH_NUMBER = /^([+-]?)(\d+)(?:\.(\d*))?$/
const US_DIGITS: Readonly<Record<string, number>> = { epoch_s: 6, epoch_ms: 3, epoch_us: 0 }

/** @throws RangeError when the rule itself cannot work: unknown zone, bad origin, bad pattern. */
export function timeReader(rule: TimeRule): TimeReader {
  const zone = rule.zone === undefined ? undefined : converter(rule.zone, rule.ambiguous)
  const digits = US_DIGITS[rule.format]
  if (digits !== undefined) return epochReader(digits, originUs(rule.origin))
  const shape = rule.format === 'iso' ? ISO : patternShape(rule.pattern ?? '')
  const expected = rule.format === 'iso' ? 'an ISO 8601 date and time' : `like ${rule.pattern}`
  return (text) => {
    const parts = shape.exec(text)?.groups
    return parts === undefined ? `is not ${expected}` : assemble(parts, zone)
  }
}

function converter(zone: string, ambiguous: AmbiguousChoice = 'refuse'): LocalToUtc {
  const found = zoneConverter(zone, ambiguous)
  if (found === undefined) {
    throw new RangeError(`zone ${JSON.stringify(zone)} is not UTC, an offset or an IANA name`)
  }
  return found
}

function originUs(origin: string | undefined): number {
  if (origin === undefined) return 0
  const us = timeReader({ format: 'iso' })(origin)
  if (typeof us === 'string') throw new RangeError(`origin ${JSON.stringify(origin)} ${us}`)
  return us
}

function epochReader(fractionDigits: number, fromUs: number): TimeReader {
  return (text) => {
    const match = EPOCH_NUMBER.exec(text)
    if (match === null) return 'is not a number of time units'
    const fraction = (match[3] ?? '').slice(0, fractionDigits).padEnd(fractionDigits, '0')
    const count = Number(match[2]! + fraction)
    return checked(fromUs + (match[1] === '-' ? -count : count))
  }
}

type Parts = Readonly<Record<string, string | undefined>>

function assemble(parts: Parts, zone: LocalToUtc | undefined): number | string {
  const [year, month, day] = [Number(parts['yyyy']), Number(parts['MM']), Number(parts['dd'])]
  const [hour, minute, second] = [
    Number(parts['HH'] ?? 0),
    Number(parts['mm'] ?? 0),
    Number(parts['ss'] ?? 0),
  ]
  const localMs = Date.UTC(year, month - 1, day, hour, minute, second)
  const date = new Date(localMs)
  // Date.UTC rolls 30 February over into March; a row that says so is wrong, not early March.
  const rolled =
    date.getUTCFullYear() !== year || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day
  if (rolled || hour > 23 || minute > 59 || second > 59) return 'is no date and time that exists'
  const utcMs = toUtc(localMs, parts['XXX'], zone)
  if (typeof utcMs === 'string') return utcMs
  const fractionUs = Number((parts['S'] ?? '').slice(0, 6).padEnd(6, '0'))
  return checked(utcMs * 1000 + fractionUs)
}

function toUtc(localMs: number, offset: string | undefined, zone: LocalToUtc | undefined) {
  if (offset !== undefined && offset !== '') {
    const own = zoneConverter(offset.length === 3 ? `${offset}:00` : offset, 'refuse')
    return own === undefined ? `has an offset ${offset} that no place uses` : own(localMs)
  }
  if (zone === undefined) return 'has no offset; say which in time.zone of the mapping'
  const utcMs = zone(localMs)
  if (utcMs === 'ambiguous') {
    return 'happened twice that day (clocks went back); set time.ambiguous to earlier or later'
  }
  return utcMs === 'non-existent' ? 'did not happen that day (clocks went forward)' : utcMs
}

/** Frames hold times from 1970 on that are exact as a number. */
function checked(us: number): number | string {
  return Number.isSafeInteger(us) && us >= 0 ? us : 'is before 1970 or too far away to be exact'
}

const TOKENS: readonly (readonly [string, string])[] = [
  ['yyyy', '(?<yyyy>\\d{4})'],
  ['MM', '(?<MM>\\d\\d)'],
  ['dd', '(?<dd>\\d\\d)'],
  ['HH', '(?<HH>\\d\\d)'],
  ['mm', '(?<mm>\\d\\d)'],
  ['ss', '(?<ss>\\d\\d)'],
  ['XXX', '(?<XXX>Z|[+-]\\d\\d(?::?\\d\\d)?)'],
]

function patternShape(pattern: string): RegExp {
  for (const token of ['yyyy', 'MM', 'dd']) {
    if (!pattern.includes(token)) throw new RangeError(`pattern ${pattern} has no ${token}`)
  }
  let source = ''
  for (let at = 0; at < pattern.length;) {
    const token = TOKENS.find(([name]) => pattern.startsWith(name, at))
    const fraction = /^S+/.exec(pattern.slice(at))?.[0]
    if (token !== undefined) source += token[1]
    else if (fraction !== undefined) source += `(?<S>\\d{1,${Math.min(9, fraction.length)}})`
    else source += pattern[at]!.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&')
    at += token?.[0].length ?? fraction?.length ?? 1
  }
  try {
    return new RegExp(`^${source}$`)
  } catch (error) {
    throw new RangeError(`pattern ${pattern} names a part twice`, { cause: error })
  }
}
