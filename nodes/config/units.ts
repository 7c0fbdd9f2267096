// Durations and sizes as people write them. One number, one unit, no default unit: `linger: 5` could
// be seconds to one reader and milliseconds to the next, so it is an error that says so.

const US_PER: Readonly<Record<string, number>> = {
  us: 1,
  µs: 1,
  ms: 1000,
  s: 1_000_000,
  m: 60_000_000,
  h: 3_600_000_000,
  d: 86_400_000_000,
}

/** KiB and its kin are powers of 1024, kB and its kin powers of 1000, as IEC 80000-13 has it. */
const BYTES_PER: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
}

/** `5ms`, `1.5s`, `1h` in microseconds. @throws RangeError whose message is a predicate ("is …; expected …"). */
export function parseDurationUs(written: string | number): number {
  return parseUnit(written, US_PER, 'a duration such as 5ms, 10s or 1h')
}

/** `16KiB`, `1.5GiB`, `100MB` in bytes. @throws RangeError, as parseDurationUs. */
export function parseBytes(written: string | number): number {
  return parseUnit(written, BYTES_PER, 'a size such as 16KiB, 64MiB or 1GiB')
}

function parseUnit(
  written: string | number,
  units: Readonly<Record<string, number>>,
  expected: string,
): number {
  // Zero is the same in every unit.
  if (written === 0 || written === '0') return 0
  const [, digits, unit] = /^(\d+(?:\.\d+)?) ?([A-Za-zµ]*)$/.exec(String(written).trim()) ?? []
  const known = Object.keys(units).join(', ')
  if (digits === undefined || unit === undefined) {
    throw new RangeError(`is ${JSON.stringify(written)}; expected ${expected}`)
  }
  if (unit === '') throw new RangeError(`is ${written} without a unit; expected ${expected}`)
  if (!Object.hasOwn(units, unit)) {
    throw new RangeError(`is ${JSON.stringify(written)}; its unit must be one of ${known}`)
  }
  // Rounded, since 1.1 * 1000 is not 1100 in binary; what is not whole by far more is refused below.
  const exact = Number(digits) * units[unit]!
  const whole = Math.round(exact)
  if (Math.abs(exact - whole) > 1e-6 * Math.max(1, whole) || !Number.isSafeInteger(whole)) {
    throw new RangeError(
      `is ${JSON.stringify(written)}, too fine or too large; expected ${expected}`,
    )
  }
  return whole
}
