// Times and durations as people and programs write them in a query, and back. Inside Skein a time is
// always microseconds since the Unix epoch.

const UNIT_US: Readonly<Record<string, number>> = {
  us: 1,
  µs: 1,
  ms: 1_000,
  s: 1_000_000,
  m: 60_000_000,
  h: 3_600_000_000,
  d: 86_400_000_000,
  w: 604_800_000_000,
}

/**
 * Plain numbers from here on are microseconds, smaller ones milliseconds: 1e14 ms is the year 5138
 * and 1e14 µs is March 1973, so nobody's telemetry is in doubt. `123us` and `123ms` say it outright.
 */
export const MICROSECONDS_FROM = 1e14

export const TIME_FORMS =
  'an ISO time with its zone (2025-07-06T12:00:00Z), "now", "-5m", "now-1h", epoch milliseconds ' +
  '(a number below 1e14), epoch microseconds (from 1e14 on), or "123ms" / "123us"'

export const DURATION_FORMS = 'a duration like "10s", "1m" or "1h" (units us, ms, s, m, h, d, w)'

/** Microseconds since the Unix epoch; undefined when it is no time (TIME_FORMS says what is). */
export function parseTime(value: string | number, nowUs: number): number | undefined {
  const us = typeof value === 'number' ? numberTime(value) : textTime(value.trim(), nowUs)
  return us !== undefined && us >= 0 && us <= Number.MAX_SAFE_INTEGER ? us : undefined
}

/** Microseconds; undefined when it is no duration. Parts may be joined: `1h30m`. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(us|µs|ms|s|m|h|d|w))+$/.test(text)) return undefined
  let us = 0
  for (const [, count, unit] of text.matchAll(/([\d.]+)([a-zµ]+)/g)) {
    us += Number(count) * UNIT_US[unit!]!
  }
  us = Math.round(us)
  return Number.isSafeInteger(us) ? us : undefined
}

/** Rows of an answer are mostly of the same few seconds. */
let lastSecond = 0
let lastSecondText = '1970-01-01T00:00:00.'

/** ISO 8601 in UTC, to the microsecond: `2025-07-06T12:00:00.123456Z`. */
export function formatTime(timeUs: number): string {
  const second = Math.floor(timeUs / 1e6)
  if (second !== lastSecond) {
    lastSecondText = new Date(second * 1000).toISOString().slice(0, -4)
    lastSecond = second
  }
  return `${lastSecondText}${String(timeUs - second * 1e6).padStart(6, '0')}Z`
}

function numberTime(value: number): number | undefined {
  if (!Number.isFinite(value)) return undefined
  return Math.round(value < MICROSECONDS_FROM ? value * 1000 : value)
}

function textTime(text: string, nowUs: number): number | undefined {
  const relative = /^(?:now)?(?:([+-])(.+))?$/.exec(text)
  if (text !== '' && relative !== null) {
    const [, sign, length] = relative
    if (length === undefined) return nowUs
    const us = parseDuration(length)
    if (us === undefined) return undefined
    return sign === '-' ? Math.max(0, nowUs - us) : nowUs + us
  }
  const plain = /^(\d+)(us|ms)$/.exec(text)
  if (plain !== null) return Number(plain[1]) * UNIT_US[plain[2]!]!
  return isoTime(text)
}

function isoTime(text: string): number | undefined {
  const parts =
    /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?([Zz]|[+-]\d{2}:?\d{2})$/.exec(
      text,
    )
  if (parts === null) return undefined
  const [, date, minutes, seconds = '00', fraction = '', zone] = parts
  const offset = zone!.toUpperCase().replace(/^(...)(\d\d)$/, '$1:$2')
  const ms = Date.parse(`${date}T${minutes}:${seconds}${offset}`)
  // Date.parse turns 30 February into 2 March.
  const day = new Date(`${date}T00:00:00Z`)
  if (Number.isNaN(ms) || Number.isNaN(day.getTime())) return undefined
  if (!day.toISOString().startsWith(date!)) return undefined
  return ms * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6))
}
