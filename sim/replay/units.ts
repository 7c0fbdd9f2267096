// Units a mapping may convert between. Each is a straight line to its kind's base unit:
// base = value * scale + offset. Names are the ones that stand in schemas as x-unit.

interface Unit {
  readonly kind: string
  readonly scale: number
  readonly offset?: number
}

const UNITS: Readonly<Record<string, Unit>> = {
  'm/s': { kind: 'speed', scale: 1 },
  'km/h': { kind: 'speed', scale: 1 / 3.6 },
  // One international mile is 1609.344 m exactly (1959), so 1 mph is 0.44704 m/s exactly.
  mph: { kind: 'speed', scale: 0.44704 },
  // One nautical mile is 1852 m exactly.
  knots: { kind: 'speed', scale: 1852 / 3600 },
  celsius: { kind: 'temperature', scale: 1 },
  kelvin: { kind: 'temperature', scale: 1, offset: -273.15 },
  fahrenheit: { kind: 'temperature', scale: 5 / 9, offset: -160 / 9 },
  m: { kind: 'length', scale: 1 },
  km: { kind: 'length', scale: 1000 },
  cm: { kind: 'length', scale: 0.01 },
  mm: { kind: 'length', scale: 0.001 },
  mi: { kind: 'length', scale: 1609.344 },
  ft: { kind: 'length', scale: 0.3048 },
  hPa: { kind: 'pressure', scale: 1 },
  Pa: { kind: 'pressure', scale: 0.01 },
  kPa: { kind: 'pressure', scale: 10 },
  bar: { kind: 'pressure', scale: 1000 },
  // Pound-force per square inch, 6894.757293168 Pa.
  psi: { kind: 'pressure', scale: 68.94757293168 },
  degrees: { kind: 'angle', scale: 1 },
  rad: { kind: 'angle', scale: 180 / Math.PI },
  percent: { kind: 'ratio', scale: 1 },
  ratio: { kind: 'ratio', scale: 100 },
  'µg/m3': { kind: 'mass concentration', scale: 1 },
  'mg/m3': { kind: 'mass concentration', scale: 1000 },
  s: { kind: 'duration', scale: 1 },
  ms: { kind: 'duration', scale: 0.001 },
  min: { kind: 'duration', scale: 60 },
  h: { kind: 'duration', scale: 3600 },
}

export const UNIT_NAMES: readonly string[] = Object.keys(UNITS)

/** A conversion: converted = value * scale + offset. */
export interface Line {
  readonly scale: number
  readonly offset: number
}

/** The line from one unit to another, or why there is none. */
export function unitLine(from: string, to: string): Line | string {
  const source = UNITS[from]
  const target = UNITS[to]
  if (source === undefined || target === undefined) return `${from} or ${to} is no known unit`
  if (source.kind !== target.kind) {
    return `${from} is a ${source.kind} and ${to} is a ${target.kind}`
  }
  return {
    scale: roundNoise(source.scale / target.scale),
    offset: roundNoise(((source.offset ?? 0) - (target.offset ?? 0)) / target.scale),
  }
}

/** 1.6093440000000001 is 1.609344: fifteen digits are what a double holds for certain. */
function roundNoise(value: number): number {
  return Number(value.toPrecision(15))
}
