// Numbers for people: three significant digits and a unit, in `en` notation whatever the locale, so
// that output can be compared and pasted. Machines get the raw numbers from --json.

const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
const COUNTS = ['', 'k', 'M', 'G', 'T']

/** `512 B`, `1.50 KiB`, `64.0 MiB`. */
export function bytes(value: number): string {
  return scaled(value, 1024, BYTES)
}

/** `999`, `12.3k`, `4.56M`. */
export function count(value: number): string {
  return scaled(value, 1000, COUNTS).replaceAll(' ', '')
}

/** `12.3k/s`. */
export function rate(perSecond: number): string {
  return `${count(perSecond)}/s`
}

/** `5.12 MiB/s`. */
export function byteRate(bytesPerSecond: number): string {
  return `${bytes(bytesPerSecond)}/s`
}

/** `250 µs`, `1.25 ms`, `42.0 s`, `5m 03s`, `2h 05m`, `3d 04h`. */
export function durationUs(us: number): string {
  if (!Number.isFinite(us)) return '-'
  if (us < 0) return `-${durationUs(-us)}`
  if (us < 999.5) return `${digits(us)} µs`
  if (us < 999_500) return `${digits(us / 1000)} ms`
  const seconds = Math.round(us / 1_000_000)
  if (seconds < 60) return `${digits(us / 1_000_000)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m ${two(seconds % 60)}s`
  const hours = Math.floor(minutes / 60)
  return hours < 24
    ? `${hours}h ${two(minutes % 60)}m`
    : `${Math.floor(hours / 24)}d ${two(hours % 24)}h`
}

export function durationMs(ms: number): string {
  return durationUs(ms * 1000)
}

/** `7s`, `2m 05s`, `1h 02m`: how long something runs, in whole seconds. */
export function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  return seconds < 60 ? `${seconds}s` : durationUs(seconds * 1_000_000)
}

/** `2025-07-06T12:00:00.000250Z`: a time in µs since the Unix epoch; all its digits only when it has them. */
export function timeUs(us: number): string {
  const ms = Math.floor(us / 1000)
  const date = new Date(ms)
  // Beyond what a Date can hold (the year 275760).
  if (Number.isNaN(date.getTime())) return `${us} µs`
  const below = us - ms * 1000
  const iso = date.toISOString()
  return below === 0 ? iso : `${iso.slice(0, -1)}${String(below).padStart(3, '0')}Z`
}

function scaled(value: number, step: number, units: readonly string[]): string {
  if (!Number.isFinite(value)) return '-'
  if (value < 0) return `-${scaled(-value, step, units)}`
  let scale = 0
  // 999.5 would be shown as 1000 of the smaller unit.
  while (value >= Math.min(step, 999.5) && scale < units.length - 1) {
    value /= step
    scale += 1
  }
  const shown = scale === 0 && Number.isInteger(value) ? String(value) : digits(value)
  return `${shown} ${units[scale]}`.trimEnd()
}

/** Three significant digits: 1.23, 12.3, 123; whole numbers below ten stay whole when they are zero. */
function digits(value: number): string {
  if (value === 0) return '0'
  if (value < 9.995) return value.toFixed(2)
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0)
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}
