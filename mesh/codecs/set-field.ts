// How decoders fill the fields of a sample.
import type { Value } from '../sample.ts'

/** As an assignment, but `__proto__` is a field like any other. */
export function setField(fields: Record<string, Value>, name: string, value: Value): void {
  if (name !== '__proto__') fields[name] = value
  else
    Object.defineProperty(fields, name, {
      value,
      enumerable: true,
      writable: true,
      configurable: true,
    })
}
