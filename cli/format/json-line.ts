// One value as one line of JSON, for --json. JSON has no NaN, no infinities, no bytes and no maps;
// what stands for them is written here, once.

/**
 * With its line break. NaN and infinities become null, bigints numbers when exact and else text, bytes
 * hex, maps objects, sets lists; errors keep name, code, message and details.
 */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(plainOf(value)) ?? 'null'}\n`
}

function plainOf(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : String(value)
  }
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (value instanceof Map) return entriesOf(value)
  if (value instanceof Set || Array.isArray(value)) return Array.from(value, plainOf)
  if (value instanceof Error) return errorOf(value)
  if ('toJSON' in value) return value
  return entriesOf(Object.entries(value))
}

function entriesOf(entries: Iterable<[unknown, unknown]>): object {
  return Object.fromEntries(Array.from(entries, ([key, value]) => [String(key), plainOf(value)]))
}

/** `message` and `name` are not enumerable; the stack is for logs, not for programs. */
function errorOf(error: Error): object {
  const { name, message, cause, stack: _stack, ...facts } = error
  const reason = cause === undefined ? {} : { cause: plainOf(cause) }
  return { name, message, ...entriesOf(Object.entries(facts)), ...reason }
}
