// What is wrong with a Kafka, in words for whoever runs it. The client library nests its errors
// (connection, then authentication, then protocol), and the innermost is the one that helps.

export interface KafkaTroubleOptions {
  /** Somebody has to do something about it: trying again at once would not help. */
  readonly isSlow?: boolean
  readonly cause?: unknown
}

/** Ends an attempt, which is then made again. Its message goes to trouble(). */
export class KafkaTrouble extends Error {
  override readonly name = 'KafkaTrouble'
  readonly isSlow: boolean

  constructor(message: string, { isSlow = false, cause }: KafkaTroubleOptions = {}) {
    super(message, { cause })
    this.isSlow = isSlow
  }
}

/** What the library's errors may carry, whichever class they are. */
interface LibraryError extends Error {
  readonly code?: string
  readonly apiId?: string
  readonly serverErrorMessage?: string | null
  readonly errors?: readonly LibraryError[]
}

const SYSTEM_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  ENOTFOUND: 'no such host',
  EHOSTUNREACH: 'no route to it',
  ETIMEDOUT: 'no answer in time',
}

/** The library gives it the code of any lost connection. */
export const isTimeout = (error: unknown): boolean =>
  error instanceof Error && /timed out/i.test(error.message)

/** The error ids of a protocol answer, each once: `NOT_LEADER_OR_FOLLOWER`. */
export function errorIds(error: unknown): string[] {
  const ids = chainOf(error).flatMap(({ apiId }) => apiId ?? [])
  return [...new Set(ids)]
}

/** `user` is undefined when no credentials are configured. */
export function connectTrouble(
  address: string,
  error: unknown,
  user: string | undefined,
): KafkaTrouble {
  const chain = chainOf(error)
  const ids = errorIds(error)
  const cause = error
  if (ids.includes('SASL_AUTHENTICATION_FAILED')) {
    const words = `Kafka at ${address} refuses these credentials (user ${user}); check username, password and mechanism`
    return new KafkaTrouble(words, { isSlow: true, cause })
  }
  if (ids.includes('UNSUPPORTED_SASL_MECHANISM') || ids.includes('ILLEGAL_SASL_STATE')) {
    const words = `${address} does not take credentials in this way (${ids.join(', ')}); check mechanism`
    return new KafkaTrouble(words, { isSlow: true, cause })
  }
  const tls = chain.find(({ message }) => /TLS/.test(message))
  if (tls !== undefined)
    return new KafkaTrouble(`${address}: ${tls.message}`, { isSlow: true, cause })
  return new KafkaTrouble(`Kafka at ${address} does not answer (${reasonOf(chain)})`, { cause })
}

/** For a broker that was connected and then did not do what it was asked. */
export function requestTrouble(address: string, what: string, error: unknown): KafkaTrouble {
  if (error instanceof KafkaTrouble) return error
  const ids = errorIds(error)
  const cause = error
  if (ids.length === 0) {
    return new KafkaTrouble(`${address} is gone (${reasonOf(chainOf(error))})`, { cause })
  }
  const said = chainOf(error).find(
    ({ serverErrorMessage }) => serverErrorMessage,
  )?.serverErrorMessage
  const words = `Kafka at ${address} refuses to ${what} (${ids.join(', ')}${said ? `: ${said}` : ''})`
  return new KafkaTrouble(words, {
    isSlow: ids.some((id) => id.endsWith('AUTHORIZATION_FAILED')),
    cause,
  })
}

function reasonOf(chain: readonly LibraryError[]): string {
  for (const { code } of [...chain].reverse()) {
    const reason = code === undefined ? undefined : SYSTEM_REASONS[code]
    if (reason !== undefined) return reason
  }
  if (chain.some(isTimeout)) return 'no answer in time'
  const innermost = chain.findLast(({ message }) => message !== '')?.message
  return innermost === undefined ? 'connection closed' : innermost.toLowerCase()
}

/** An error, those it holds and those that caused it, outermost first. */
function chainOf(error: unknown): LibraryError[] {
  if (!(error instanceof Error)) return []
  const one = error as LibraryError
  return [one, ...(one.errors ?? []).flatMap(chainOf), ...chainOf(one.cause)]
}
