// Local time to UTC for recordings whose times carry no offset. The zone rules are the runtime's own
// (Intl, ICU); nothing here knows a rule. When clocks go back, one local hour happens twice; when
// they go forward, one does not happen: both are said, and the mapping decides about the first.

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Hours whose offsets are remembered: a year's recording in order needs a few at a time. */
const HOURS_KEPT_MAX = 1024

export type LocalFault = 'ambiguous' | 'non-existent'
/** What to do with a local time that happened twice. */
export type AmbiguousChoice = 'refuse' | 'earlier' | 'later'
/** Local time, as milliseconds of the same wall reading in UTC, to milliseconds since the Unix epoch. */
export type LocalToUtc = (localMs: number) => number | LocalFault

const FIXED = /^(?:UTC|Z|([+-])(\d\d):?(\d\d))$/

/** The converter for `UTC`, an offset such as `+01:00`, or an IANA name; undefined for anything else. */
export function zoneConverter(zone: string, ambiguous: AmbiguousChoice): LocalToUtc | undefined {
  const fixed = FIXED.exec(zone)
  if (fixed !== null) {
    const minutes = Number(fixed[2] ?? 0) * 60 + Number(fixed[3] ?? 0)
    if (minutes > 18 * 60) return undefined
    const offsetMs = (fixed[1] === '-' ? -minutes : minutes) * 60_000
    return (localMs) => localMs - offsetMs
  }
  const offsetAt = ianaOffset(zone)
  return offsetAt === undefined ? undefined : ianaConverter(offsetAt, ambiguous)
}

function ianaConverter(offsetAt: (utcMs: number) => number, choice: AmbiguousChoice): LocalToUtc {
  const hours = new Map<number, readonly [number, number]>()
  return (localMs) => {
    const hour = Math.floor(localMs / HOUR_MS)
    let around = hours.get(hour)
    if (around === undefined) {
      // No zone is a day away from UTC, so these two instants lie on either side of the hour.
      around = [offsetAt(hour * HOUR_MS - DAY_MS), offsetAt((hour + 1) * HOUR_MS + DAY_MS)]
      if (hours.size >= HOURS_KEPT_MAX) hours.clear()
      hours.set(hour, around)
    }
    const [before, after] = around
    if (before === after) return localMs - before
    const withBefore = localMs - before
    const withAfter = localMs - after
    const beforeHolds = offsetAt(withBefore) === before
    const afterHolds = offsetAt(withAfter) === after
    if (beforeHolds && afterHolds) {
      if (choice === 'refuse') return 'ambiguous'
      return choice === 'earlier'
        ? Math.min(withBefore, withAfter)
        : Math.max(withBefore, withAfter)
    }
    if (beforeHolds) return withBefore
    return afterHolds ? withAfter : 'non-existent'
  }
}

/** The zone's offset from UTC in milliseconds at an instant; undefined for an unknown zone. */
function ianaOffset(zone: string): ((utcMs: number) => number) | undefined {
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  } catch {
    return undefined
  }
  return (utcMs) => {
    const part = Object.fromEntries(
      format.formatToParts(utcMs).map(({ type, value }) => [type, Number(value)]),
    )
    const local = Date.UTC(
      part['year']!,
      part['month']! - 1,
      part['day'],
      part['hour'],
      part['minute'],
      part['second'],
    )
    return local - Math.floor(utcMs / 1000) * 1000
  }
}
