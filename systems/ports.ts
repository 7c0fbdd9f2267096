// Ports of an address of this machine. Free ones are taken from below the range that systems give out by themselves (32768
// and up on Linux): a client that dials in vain while its server is away could otherwise be given the
// server's own port, connect to itself, and keep the server from coming back.
import { createServer } from 'node:net'
import { SystemError } from './errors.ts'

const PORT_MIN = 20_000
const PORT_MAX = 32_000

export async function freePort(host: string): Promise<number> {
  for (;;) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN))
    if (await isFree(host, port)) return port
  }
}

/** @throws SystemError SYSTEM_PORT_TAKEN when something listens on it. */
export async function checkFree(host: string, port: number, who: string): Promise<void> {
  if (await isFree(host, port)) return
  throw new SystemError(
    'SYSTEM_PORT_TAKEN',
    `port ${port} of ${host} is taken, so ${who} cannot listen there: end what listens on it, ` +
      'give another port, or give none',
  )
}

function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}
