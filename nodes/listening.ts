// What a port that cannot be had means to the person who chose it.
import { NodeError } from './errors.ts'

/** A listen() of an HTTP server that failed, as an error that says which setting to change. */
export function listenError(error: unknown, host: string, port: number): unknown {
  const { code } = error as NodeJS.ErrnoException
  const where = { cause: error, details: { host, port } }
  if (code === 'EADDRINUSE') {
    return new NodeError(
      'NODE_ADDRESS_IN_USE',
      `cannot serve HTTP on ${host}:${port}: another process listens there; stop it, or choose ` +
        'another storage.http.port (0 takes a free one)',
      { ...where, retryable: true },
    )
  }
  if (code === undefined || !/^(EACCES|EADDRNOTAVAIL|ENOTFOUND|EAI_\w+)$/.test(code)) return error
  return new NodeError(
    'NODE_START_FAILED',
    `cannot serve HTTP on ${host}:${port} (${code}): choose a storage.http.host of this machine and ` +
      'a storage.http.port that this user may have',
    where,
  )
}
